"""The documentation site: `make docs` builds it into docs/_build/html, without a network and without a warning."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

import einorm
from einorm.planning.surroundings import use_this_clone

use_this_clone()  # the notebook runs in a process of its own

project = "einorm"
author = "einorm contributors"
version = release = einorm.__version__
html_title = f"einorm {release}"
html_theme = "furo"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 120  # seconds a cell

PACKAGE = Path(einorm.__file__).parent
ROOMS = ["", *(f"{path.parent.name}." for path in sorted(PACKAGE.glob("*/__init__.py")))]  # where names are looked for
default_role = "py:obj"
add_module_names = False
smartquotes = False  # options, --config, stay as they are
autodoc_member_order = "bysource"
autodoc_default_options = {
    "members": True,
    "exclude-members": "model_config, mannwhitneyu",  # pydantic's; imported, and autodoc fails on its signature
}
autodoc_inherit_docstrings = False
autodoc_typehints = "none"  # docstrings say it, with shapes and units
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_param = napoleon_use_rtype = False


def find_in_package(app, env, node, content):
    """Resolve a name as docstrings write it, `runs.cell_runs`, `claims.judged`: seen from the package or a room."""
    if node["refdomain"] != "py":
        return None
    targets = [f"einorm.{room}{node['reftarget']}" for room in ROOMS]
    known = [target for target in targets if target in env.domains.python_domain.objects]
    resolve = env.domains.python_domain.resolve_xref
    return resolve(env, node["refdoc"], app.builder, "obj", known[0], node, content) if known else None


def setup(app):
    app.connect("missing-reference", find_in_package)
