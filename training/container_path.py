"""Importing this makes the modules of training/container importable by their bare names.

They import each other so, because SageMaker's containers have them all in one folder. Here their
folder comes last on the path, so that none of them hides another module.
"""

import sys

from training.training_job import SOURCE_DIR

sys.path.append(str(SOURCE_DIR))
