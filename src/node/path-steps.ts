import { lstatSync, readlinkSync, type Stats } from 'node:fs'
import { dirname, join, parse, sep } from 'node:path'

/** A folder, link or file that the system passes on its way to a path. */
export interface PathStep {
  readonly path: string
  readonly stats: Stats
}

export interface PathWay {
  readonly steps: readonly PathStep[]
  /** Whether the last step is what stands at the path. False: it is not there. */
  readonly arrives: boolean
}

/** As many links as Linux follows. */
const MOST_LINKS = 40

/**
 * Everything on the way to an absolute path, in the order in which the system passes it, links and what they lead to; as far
 * as it is there. Synchronous: `latchkey token` asks before anything is loaded.
 */
export function stepsTo(path: string): PathWay {
  const { root } = parse(path)
  const steps: PathStep[] = [{ path: root, stats: lstatSync(root) }]
  const names = namesOf(path, root)
  let folder = root
  let links = 0
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    const next = name === '..' ? dirname(folder) : join(folder, name)
    const stats = lstatSync(next, { throwIfNoEntry: false })
    if (!stats) return { steps, arrives: false }
    steps.push({ path: next, stats })
    if (stats.isSymbolicLink()) {
      if (++links > MOST_LINKS) return { steps, arrives: false }
      const target = readlinkSync(next)
      const { root: other } = parse(target)
      if (other !== '') folder = other
      names.unshift(...namesOf(target, other))
    } else if (stats.isDirectory()) {
      folder = next
    } else {
      return { steps, arrives: names.length === 0 }
    }
  }
  return { steps, arrives: true }
}

/**
 * What on the way would let other users exchange what stands at a path: a link of theirs, or a folder above it in which
 * every user may rename what is not theirs. Not the owners and groups of the folders above: they are the administrators of the
 * place, in containers often by another number than the user's.
 */
export function weakStep(path: string, uid: number): PathStep | undefined {
  const { steps, arrives } = stepsTo(path)
  const above = arrives ? steps.length - 1 : steps.length
  return steps.find(({ stats }, index) =>
    stats.isSymbolicLink()
      ? !isOwnOrRoots(stats.uid, uid)
      : index < above && stats.isDirectory() && (stats.mode & 0o1002) === 0o002,
  )
}

/** The user itself, root, and whoever owns `/`: in a sandbox with user ids of its own that is root by another number. */
export function isOwnOrRoots(owner: number, uid: number): boolean {
  return owner === uid || owner === 0 || owner === lstatSync('/').uid
}

/**
 * True where other users may write: a folder counts as closed to them when its sticky bit keeps them from exchanging what is
 * not theirs. A group with the number of the owner is the owner's private one.
 */
export function isOpenToOthers(stats: Stats): boolean {
  if (stats.isSymbolicLink() || (stats.isDirectory() && stats.mode & 0o1000)) return false
  return (stats.mode & 0o002) !== 0 || ((stats.mode & 0o020) !== 0 && stats.gid !== stats.uid)
}

function namesOf(path: string, root: string): string[] {
  return path
    .slice(root.length)
    .split(sep)
    .filter((name) => name !== '' && name !== '.')
}
