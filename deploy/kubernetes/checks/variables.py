"""The variables that the binaries know, from the table of README.md at the top, which a test holds to the code."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Variable:
    """One of them: who reads it (`ingest`, `worker`), and whether it is secret, so that `NAME_FILE` is read, too."""

    readers: frozenset
    secret: bool


def known_variables(root):
    """By name."""
    text = (root / "README.md").read_text()
    rows = re.findall(r"^\| `([A-Z0-9_]+)`( \(secret\))? \| (both|ingest|worker) \|", text, flags=re.MULTILINE)
    if len(rows) < 20:
        raise SystemExit("check: README.md has no table of variables any more, or another one")
    known = {}
    for name, secret, reader in rows:
        readers = {"ingest", "worker"} if reader == "both" else {reader}
        if name in known:
            readers |= known[name].readers
        known[name] = Variable(frozenset(readers), bool(secret))
    # A second name, which the table mentions in words.
    if "AI_API_KEY" not in (root / ".env.example").read_text():
        raise SystemExit("check: .env.example does not name AI_API_KEY any more")
    known["AI_API_KEY"] = known["GROQ_API_KEY"]
    return known
