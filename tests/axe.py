"""axe-core on pages, light and dark, on a desk and on a phone: a line per violation, exit code 1 if there is one.

``python tests/axe.py AXE_MIN_JS PAGE...``; `make accessibility` installs axe-core by npm and calls this.
"""

import itertools
import sys
from pathlib import Path

from conftest import CHROMIUM, FLAGS
from playwright.sync_api import sync_playwright

WIDTHS, SCHEMES = (1280, 360), ("light", "dark")
SETTLE = 1500  # ms until the explorer has drawn its panels


def main(axe, *paths):
    """Print all violations; 1 if there is one, 2 if a page is missing."""
    missing = [path for path in paths if not Path(path).exists()]
    if missing:
        print(f"{', '.join(missing)}: no such page; make view first", file=sys.stderr)
        return 2
    script, found = Path(axe).read_text(encoding="utf-8"), []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for path, width, scheme in itertools.product(paths, WIDTHS, SCHEMES):
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page.goto(Path(path).absolute().as_uri())
            page.wait_for_timeout(SETTLE)
            page.add_script_tag(content=script)
            result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            for violation in result["violations"]:
                found.append(
                    f"{path}, {width} px, {scheme}: {violation['help']}: {violation['nodes'][0]['html'][:200]}"
                )
            page.close()
        browser.close()
    print("\n".join(found) or f"{len(paths)} pages, no violation")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
