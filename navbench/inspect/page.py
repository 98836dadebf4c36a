"""The pages of `navbench inspect`, each one file, whose policy admits its own style and script by their hashes."""

import base64
import hashlib
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
_STYLE, _SCRIPT = "/*STYLE*/", "/*SCRIPT*/"


def assembled(name: str) -> tuple[str, str]:
    """A page with its style and script in it, and its policy.

    Args:
        name: of the templates 'NAME.html', 'NAME.css' and 'NAME.js'; the first says by /*STYLE*/ and /*SCRIPT*/ where
            the others belong.
    """
    page, style, script = (
        (TEMPLATES / f"{name}.{kind}").read_text(encoding="utf-8").strip() for kind in ("html", "css", "js")
    )
    policy = (
        f"default-src 'none'; style-src {_source(style)}; script-src {_source(script)}; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    return page.replace(_STYLE, style).replace(_SCRIPT, script), policy


def _source(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
