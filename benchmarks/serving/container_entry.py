"""Start a server of SageMaker's containers: `python container_entry.py torchserve 8080 FOLDER`.

Runs in the environment that containers.py made. The configuration is the toolkit's own, except for addresses and ports,
since a container has its own network. SAGEMAKER_BASE_DIR contains `model/`.
"""

import os
import sys
from pathlib import Path


def main() -> None:
    """Write the configuration and become the server."""
    server, port, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    os.environ["SAGEMAKER_BIND_TO_PORT"] = str(port)
    from sagemaker_inference import environment  # type: ignore[import-not-found]

    os.environ["PYTHONPATH"] = environment.code_dir  # from where the toolkits import the model's program
    if server == "torchserve":
        properties, log_config = torchserve(port)
        option, store = "--ts-config", folder / "models"
        store.mkdir()
    else:
        properties, log_config = multi_model_server()
        option, store = "--mms-config", Path("/")  # as in sagemaker-inference
    configuration = folder / "config.properties"
    configuration.write_text(properties.replace("0.0.0.0", "127.0.0.1"))  # noqa: S104  the opposite
    program = str(Path(sys.executable).with_name(server))
    files = ["--model-store", str(store), option, str(configuration), "--log-config", log_config]
    os.chdir(folder)
    os.execv(  # noqa: S606  without a shell
        program, [program, "--start", "--foreground", *files, "--models", f"model={environment.model_dir}"]
    )


def torchserve(port: int) -> tuple[str, str]:
    """Return sagemaker-pytorch-inference's configuration, and the path of its log configuration."""
    from sagemaker_pytorch_serving_container import (  # type: ignore[import-not-found]
        serving,
        torchserve,
    )

    properties: str = torchserve._generate_ts_config_properties(serving.HANDLER_SERVICE)
    properties += f"metrics_address=http://127.0.0.1:{port + 1}\n"
    properties += f"grpc_inference_port={port + 2}\ngrpc_management_port={port + 3}\n"
    return properties, torchserve.DEFAULT_TS_LOG_FILE


def multi_model_server() -> tuple[str, str]:
    """Return sagemaker-inference's configuration, and the path of its log configuration."""
    from sagemaker_inference import environment, model_server

    properties: str = model_server._generate_mms_config_properties(
        environment.Environment(), model_server.DEFAULT_HANDLER_SERVICE
    )
    return properties, model_server.DEFAULT_MMS_LOG_FILE


if __name__ == "__main__":
    main()
