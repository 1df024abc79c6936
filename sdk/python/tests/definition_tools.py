"""Functions that definitions under test name as tools."""

calls: list[str] = []


def lookup(word: str, times: int = 1) -> str:
    """Looks a word up."""
    calls.append(word)
    return f"{word} means {times}"


async def later(word: str) -> str:
    """Looks a word up later."""
    return f"{word} later"


def undocumented(word: str) -> str:
    return word


def positional(*words: str) -> str:
    """Takes words."""
    return "".join(words)


def odd(kernel: str) -> str:
    """Has a parameter with a name that one framework takes for its own."""
    return kernel
