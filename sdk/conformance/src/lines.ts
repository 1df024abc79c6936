/** A value as one line of JSON, also for readers that take U+2028 and U+2029 for ends of lines, as Node's readline does. */
export const lineOf = (value: unknown): string =>
  `${JSON.stringify(value).replaceAll(/[\u2028\u2029]/g, (one) => `\\u${one.charCodeAt(0).toString(16)}`)}\n`
