"""Packaging: the repository root is the package `gentrifugo` (see docs/development.md)."""

import re
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
VERSION = re.search(r'^__version__ = "([^"]+)"', (ROOT / "_version.py").read_text(encoding="utf-8"), re.MULTILINE)
assert VERSION is not None

setup(
    name="gentrifugo",
    version=VERSION.group(1),
    description="Real-time messaging server for Python shops: Centrifugo v1 on gevent and Flask",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    package_dir={"gentrifugo": "."},
    packages=[
        "gentrifugo",
        "gentrifugo.app",
        "gentrifugo.app.model",
        "gentrifugo.app.runtime",
        "gentrifugo.app.config",
        "gentrifugo.app.net",
        "gentrifugo.app.http",
        "gentrifugo.app.websocket",
        "gentrifugo.app.node",
        "gentrifugo.app.protocol",
        "gentrifugo.app.protocol.v1",
        "gentrifugo.app.views",
        "gentrifugo.app.server",
        "gentrifugo.app.tls",
        "gentrifugo.app.extension",
        "gentrifugo.app.process",
        "gentrifugo.app.sockjs",
        "gentrifugo.admin",
        "gentrifugo.engines",
        "gentrifugo.engines.redis",
    ],
    package_data={
        "gentrifugo": ["py.typed"],
        "gentrifugo.admin": ["web/*", "web/pages/*", "web/vendor/*/*"],
        "gentrifugo.engines.redis": ["lua/*.lua"],
    },
    install_requires=[
        "gevent>=24.10.1",
        "Flask>=3.1",
        "msgspec>=0.19",
        "websockets>=15,<18",
        "marshmallow>=4.0,<5",
        "ConfigArgParse>=1.7",
        "PyYAML>=6.0",
        "psutil>=6.0",
        "redis>=8.0,<9",
        "hiredis>=3.0",
        "itsdangerous>=2.2",
        "prometheus-client>=0.21",
        "urllib3>=2.2,<3",
    ],
    extras_require={
        "autocert": ["acme>=5.0", "cryptography>=44"],
        "gunicorn": ["gunicorn[gevent]>=23.0", "gevent-websocket>=0.10.1"],
    },
    entry_points={"console_scripts": ["gentrifugo = gentrifugo.app.cli:main"]},
)
