"""Reads records out of a document, checks them, and has the reader mend what does not fit, until all of it does.

A Semantic Kernel program. Nothing in it knows of Omium.
"""

import json
import os
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from semantic_kernel.functions import kernel_function

service = OpenAIChatCompletion(ai_model_id=os.environ.get("OMIUM_EXAMPLE_MODEL", "omium-local-scripted"))


class ErrorRecord(BaseModel):
    """An error of an API, as its documentation has it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    code: str = Field(pattern=r"^[a-z][a-z_]*$", description="the heading of the section")
    status: int = Field(ge=100, le=599, description="the number behind HTTP")
    retryable: bool = Field(description="whether it is retryable")
    meaning: str = Field(min_length=10, description="the first sentence")
    detail: str = Field(min_length=10, description="the last sentence")


class Records:
    """What the agent may do with its records."""

    @kernel_function
    def check(self, records: Annotated[str, "the records, as a JSON array"]) -> str:
        """Checks records against their schema. Gives every problem with its record (from 0) and its field."""
        try:
            given = json.loads(records)
        except ValueError as error:
            return json.dumps({"problems": [{"record": 0, "field": "", "problem": f"this is no JSON: {error}"}]})
        problems: list[dict[str, object]] = []
        for number, record in enumerate(given):
            try:
                ErrorRecord.model_validate(record)
            except ValidationError as error:
                problems += [
                    {
                        "record": number,
                        "field": ".".join(map(str, one["loc"])),
                        "problem": _asks(one["type"], one["msg"]),
                    }
                    for one in error.errors()
                ]
        return json.dumps({"problems": problems})


def _asks(kind: str, message: str) -> str:
    """Problems that a reader can do something about."""
    wishes = {"bool_type": "Give true or false, not text.", "int_type": "Give a number, not text."}
    return wishes.get(kind, message)


FIELDS = {name: field.description for name, field in ErrorRecord.model_fields.items()}

extract = ChatCompletionAgent(
    service=service,
    name="extractor",
    instructions=(
        "You are an extractor. Make a record of each section of the document, with these fields: "
        f"{json.dumps(FIELDS)}\nCheck the records, and mend them until the check finds no problem. "
        'Then answer only with JSON: {"records": [...]}'
    ),
    plugins=[Records()],
)
