"""Archives for tests."""

import io
import tarfile
from collections.abc import Mapping


def tar_gz(files: Mapping[str, str | bytes]) -> bytes:
    """Return a .tar.gz of files, texts or bytes by path."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            body = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return out.getvalue()
