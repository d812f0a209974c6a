"""What a status says if a part of it is missing."""

from __future__ import annotations

ENRICHMENT_FAILED = "The steps and the result could not be read just now; everything else holds."
