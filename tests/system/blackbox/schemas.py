# SPDX-License-Identifier: Apache-2.0
"""Every message against its JSON Schema, with a validator that nobody here wrote."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

import jsonschema


#: What the schemas' references to each other are relative to.
BASE = "https://schemas.invalid/"


def refuse_to_fetch(uri: str) -> Any:
    raise AssertionError(f"a schema refers to {uri}, which is not there")


class Schemas:
    """The schemas of one directory, by the name of their file without `.schema.json`."""

    def __init__(self, directory: str | None = None) -> None:
        path = pathlib.Path(directory or os.environ["PROCTRACK_SCHEMAS"])
        self._loaded = {file.name.removesuffix(".schema.json"): json.loads(file.read_text("utf-8"))
                        for file in sorted(path.glob("*.schema.json"))}
        self._store = {f"{BASE}{name}.schema.json": schema
                       for name, schema in self._loaded.items()}
        self._validators: dict[str, jsonschema.protocols.Validator] = {}

    def names(self) -> list[str]:
        return list(self._loaded)

    def check(self, name: str, message: Any) -> None:
        """Raises AssertionError, with the place, where the message is not what its schema says."""
        refuse_foreign_types(message, name)
        validator = self._validators.get(name) or self._make(name)
        error = jsonschema.exceptions.best_match(validator.iter_errors(message))
        if error is not None:
            where = "/".join(str(part) for part in error.absolute_path) or "(top)"
            raise AssertionError(f"{name}: at {where}: {error.message}\nin {message!r}")

    def _make(self, name: str) -> jsonschema.protocols.Validator:
        if name not in self._loaded:
            raise AssertionError(f"there is no {name}.schema.json for a message that was sent")
        schema = self._loaded[name]
        kind = jsonschema.validators.validator_for(schema)
        kind.check_schema(schema)
        resolver = jsonschema.RefResolver(BASE + f"{name}.schema.json", schema, store=self._store,
                                          handlers={"https": refuse_to_fetch})
        self._validators[name] = kind(schema, resolver=resolver)
        return self._validators[name]


def refuse_foreign_types(value: Any, where: str) -> None:
    """JSON Schema cannot tell `bin` from nothing, nor 1.0 from 1: the protocol uses neither."""
    if isinstance(value, dict):
        for key, item in value.items():
            assert isinstance(key, str), f"{where}: the key {key!r} is not str"
            refuse_foreign_types(item, f"{where}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            refuse_foreign_types(item, f"{where}[{index}]")
    else:
        right = value is None or isinstance(value, (str, int))
        assert right, f"{where}: {value!r} is {type(value)}"
