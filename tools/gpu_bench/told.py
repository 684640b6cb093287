"""One line per row of a benchmark's JSON, for the end of a log."""

import json
import sys
from pathlib import Path


def lines(report: dict) -> list[str]:
    """The rows of ``vqc-bench pair`` or of the open-loop commands."""
    if "rows" in report:
        return [
            f"{row['label']}, {row['clients']} clients: {row['ours']['per_s']} and {row['raw']['per_s']} a second, "
            f"ratio {row['ratio']}, tokens {row['token_ratio']}, p50 {row['overhead_ms']:+} ms, {row['errors']} errors"
            for row in report["rows"]
        ]
    return [
        f"{kind['label']}: {kind['per_s']} a second, {kind['tokens_per_s']} tokens, p50 {kind['p50_ms']} ms, "
        f"{kind['errors']} errors"
        for step in report["steps"]
        for kind in step["kinds"]
    ]


if __name__ == "__main__":
    text = Path(sys.argv[1]).read_text("utf-8")
    print("\n".join(f"   {line}" for line in lines(json.loads(text))) if text.strip() else "   no result")
