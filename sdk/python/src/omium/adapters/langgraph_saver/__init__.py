"""A LangGraph checkpointer on Omium: `graph.compile(checkpointer=OmiumCheckpointSaver())`.

1. What a method returned from is durable: it is on the log, and its state is in object storage.
2. A checkpoint is stored whole, under LangGraph's own id; it never changes. Its state is verified on every read: when the
   latest one is damaged, the newest intact one before it is given, with a warning; one that is asked for by id raises
   `checkpoint_corrupt`.
3. Reads of a thread see every write to it that this saver has made before.
4. Thread ids may be any text. Metadata is found by equality of its plain members.

`saver` is what LangGraph calls; `reading` and `writing` say what is asked of the platform, without I/O, so that the
synchronous and the asynchronous methods are the same.
"""

from .naming import thread_of
from .saver import OmiumCheckpointSaver

__all__ = ["OmiumCheckpointSaver", "thread_of"]
