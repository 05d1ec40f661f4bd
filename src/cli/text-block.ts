/** Labels and values below each other, indented; long values go on under themselves, words are never cut. */
export function fields(
  entries: readonly (readonly [label: string, value: string])[],
  { width = 80, labelWidth = 8 } = {},
): string[] {
  const indent = ' '.repeat(2 + labelWidth + 2)
  return entries.flatMap(([label, value]) =>
    value
      .split('\n')
      .flatMap((line) => wrap(line, width - indent.length))
      .map((line, index) => (index === 0 ? `  ${label.padEnd(labelWidth)}  ${line}` : indent + line)),
  )
}

/** Breaks at spaces. A word that is longer than a line has a line of its own. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}
