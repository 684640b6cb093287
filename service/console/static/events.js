// Server-sent events of a response to fetch (EventSource can only GET).

/** Yields [name, data] of every event in ``body``; data is read as JSON. */
export async function* events(body) {
  let text = "";
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      text += value;
      const blocks = text.split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
        if (fields.data) yield [fields.event, JSON.parse(fields.data)];
      }
    }
  } finally {
    await reader.cancel();
  }
}
