"""Writing files: complete or not at all."""
import os
import secrets


def write_text(path, text):
    """Writes text to a file that appears complete or not at all; a device or a pipe is written to, never replaced."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path, content):
    """The same for bytes."""
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as stream:
            stream.write(content)
        return
    temporary = f"{path}.{secrets.token_hex(4)}.tmp"
    try:
        with open(temporary, "xb") as stream:
            stream.write(content)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
