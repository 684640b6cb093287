"""``python -m scenes.meters OUT``: draws labelled photos and tickets of meter boxes, and the file to train on."""

from __future__ import annotations

import argparse
from pathlib import Path

from scenes.camera import SMALLEST_WH
from scenes.meters.photo import PHOTO_WH
from scenes.meters.write import write_meter_tickets, write_photos, write_training_file


def main() -> None:
    """Draws what the command line asks for and prints the files' paths."""
    parser = argparse.ArgumentParser(
        prog="python -m scenes.meters", description="Draw labelled photos and tickets of electricity meter boxes."
    )
    parser.add_argument("out", type=Path, help="output directory, created if missing")
    parser.add_argument("--seed", type=int, default=0, help="seed of the scenes (default: %(default)s)")
    parser.add_argument("--count", type=int, default=100, help="number of photos (default: %(default)s)")
    parser.add_argument("--tickets", type=int, default=0, help="number of tickets with photos (default: %(default)s)")
    parser.add_argument(
        "--text-tickets",
        type=int,
        default=0,
        help="number of tickets with lines only, for training (default: %(default)s)",
    )
    parser.add_argument(
        "--size", type=int, nargs=2, default=PHOTO_WH, metavar=("WIDTH", "HEIGHT"),
        help=f"size of a photo, px, at least {SMALLEST_WH[0]} {SMALLEST_WH[1]} (default: {PHOTO_WH[0]} {PHOTO_WH[1]})",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, default=1, help="number of processes (default: %(default)s)")
    options = parser.parse_args()
    size_wh = (options.size[0], options.size[1])
    common = {"seed": options.seed, "size_wh": size_wh, "workers": options.workers}
    print(write_photos(options.out, count=options.count, **common))
    if options.tickets:
        print(write_meter_tickets(options.out, count=options.tickets, **common))
    print(write_training_file(options.out, seed=options.seed, text_tickets=options.text_tickets))


if __name__ == "__main__":
    main()
