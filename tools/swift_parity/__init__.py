"""Compares this trainer with ms-swift on 16 drawn samples: token ids, pixels, labels and first loss.

``make swift-parity`` runs it in ``.venv-swift``; ``docs/training.md`` has its output.
"""
