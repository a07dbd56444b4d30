"""What can go wrong while an image is made."""

from __future__ import annotations


class ImageError(Exception):
    """The image could not be made, read or measured; the text says at which step and what the program said."""
