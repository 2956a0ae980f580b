"""Tables as Markdown."""


def table(rows: list[list[str]], words: int = 1) -> str:
    """The first row is the heading. The first `words` columns are to the left; those behind them are numbers."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]

    def line(row: list[str]) -> str:
        cells = zip(row, widths, strict=True)
        return "| " + " | ".join(c.ljust(w) if i < words else c.rjust(w) for i, (c, w) in enumerate(cells)) + " |"

    rules = ["-" * (w + 2) if column < words else "-" * (w + 1) + ":" for column, w in enumerate(widths)]
    return "\n".join([line(rows[0]), "|" + "|".join(rules) + "|", *map(line, rows[1:])])
