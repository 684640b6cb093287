"""Studies on the demo model, each a few minutes of one GPU: what anchoring keeps, and what a shorter caption costs.

    tools/demo_studies/run.sh                                 all, on a GPU host
    python -m tools.demo_studies --studies codec --seeds 17   some of it, anywhere
    python -m tools.demo_studies.tokens DATA.jsonl            tokens per caption of each spelling

``anchoring`` and ``swapped`` compare ways of learning a new domain, ``codec`` the spellings of ``spellings``. Each
run is a process of its own; the product is used as it is (``trainer.training.run``, ``trainer.export``,
``trainer.evaluation``), nothing in it knows of these studies.
"""
