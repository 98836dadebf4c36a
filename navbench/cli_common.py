"""What all files of the command line share: where it prints, and how a command's help shows its use."""

from rich.console import Console

console = Console(soft_wrap=True, markup=False, emoji=False, highlight=False)  # names and paths stay as they are


def example(text: str) -> dict[str, str]:
    """The part of a command's help that shows how it is used."""
    return {"epilog": f"\b\nExample:\n  {text}"}
