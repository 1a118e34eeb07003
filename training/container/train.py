"""Entry script of the training job; SageMaker runs it from the folder that holds picture_model.

python training/container/train.py --train data/staged/train --model-dir MODEL
"""

import sys

from picture_model.train import main

if __name__ == "__main__":
    sys.exit(main())
