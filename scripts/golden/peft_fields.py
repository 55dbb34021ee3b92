#!/usr/bin/env python3
"""peft_fields.py OUT: the fields and defaults of PEFT's config classes that graft reads, as OUT/config_fields.json (peft)."""
import dataclasses, json, os, sys
from peft import IA3Config, LoraConfig, VeraConfig


def default_of(field):
    value = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value


fields = {name: {field.name: default_of(field) for field in dataclasses.fields(config)}
          for name, config in (("LORA", LoraConfig), ("VERA", VeraConfig), ("IA3", IA3Config))}
with open(os.path.join(sys.argv[1], "config_fields.json"), "w") as file:
    json.dump(fields, file, indent=1, sort_keys=True)
    file.write("\n")
