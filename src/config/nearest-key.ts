/**
 * The known key that was probably meant by `key`, or `undefined` when none is near. Case, `_` and `-` do not count;
 * a quarter of the letters may differ, and a part of a longer key (`secret`) stands for it.
 */
export function nearestKey(key: string, known: Iterable<string>): string | undefined {
  const wanted = bare(key)
  if (wanted === '' || wanted.length > 64) return undefined
  let nearest: string | undefined
  let smallest = Number.POSITIVE_INFINITY
  for (const candidate of known) {
    const letters = bare(candidate)
    const distance = wanted.length >= 4 && letters.includes(wanted) ? 1 : editDistance(wanted, letters)
    if (distance < smallest) {
      nearest = candidate
      smallest = distance
    }
  }
  return smallest <= Math.max(1, Math.ceil(wanted.length / 4)) ? nearest : undefined
}

function bare(key: string): string {
  return key.toLowerCase().replace(/[_-]/g, '')
}

/** Insertions, deletions, substitutions and swaps of neighbours that turn `from` into `to`. */
function editDistance(from: string, to: string): number {
  let beforePrevious: number[] = []
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1]
      let cost = Math.min(
        previous[column]! + 1,
        current[column - 1]! + 1,
        previous[column - 1]! + (same ? 0 : 1),
      )
      const swapped =
        row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      if (swapped) cost = Math.min(cost, beforePrevious[column - 2]! + 1)
      current.push(cost)
    }
    beforePrevious = previous
    previous = current
  }
  return previous[to.length]!
}
