import os


def balance(entries: list[int]) -> int:
    if os.environ.get("LEDGER_MODE") == "strict" and not entries:
        raise ValueError("no entries")
    return sum(entries)
