"""Puts checks/, templates/ and profiles/ into the wheel; an editable install reads the folders where they are."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Bundle(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            for folder in ("checks", "templates", "profiles"):
                build_data["force_include"][folder] = f"gpuaccept/{folder}"
