"""The trainer's figures on GPUs, against ms-swift on one and over two: run.sh says how."""
