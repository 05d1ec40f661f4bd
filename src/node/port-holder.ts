import { readdir, readFile, readlink } from 'node:fs/promises'

/** What it takes to look up a port; tests pass a folder of their own. */
export interface PortHolderOptions {
  /** Default: the platform of this process. */
  readonly platform?: NodeJS.Platform
  /** Default `/proc`. */
  readonly procFolder?: string
  /** Milliseconds after which the search is given up. Default 250. */
  readonly timeLimit?: number
}

/**
 * Says which program listens on a TCP port of this computer, as `node (pid 4711)`: for the message of `port_in_use`.
 * Best effort: knows Linux only, and other users' programs only by their uid. Never rejects.
 */
export async function findPortHolder(
  port: number,
  options: PortHolderOptions = {},
): Promise<string | undefined> {
  const { platform = process.platform, procFolder = '/proc', timeLimit = 250 } = options
  if (platform !== 'linux') return undefined
  const deadline = performance.now() + timeLimit
  const sockets = await listeningSockets(procFolder, port)
  if (sockets.length === 0) return undefined
  const pid = await processOf(
    procFolder,
    new Set(sockets.map((socket) => `socket:[${socket.inode}]`)),
    deadline,
  )
  if (pid === undefined) {
    const foreign = sockets.find((socket) => socket.uid !== process.getuid?.())
    return foreign && `a program of another user (uid ${foreign.uid})`
  }
  const name = await readFile(`${procFolder}/${pid}/comm`, 'utf8').catch(() => '')
  // A process names itself: nothing of it may act on the terminal.
  const printable = name.replace(/[^\x20-\x7e]/g, '').trim() || 'a program'
  return `${printable} (pid ${pid}${pid === String(process.pid) ? ', this very process' : ''})`
}

interface ListeningSocket {
  readonly inode: string
  readonly uid: number
}

const listening = '0A'

async function listeningSockets(procFolder: string, port: number): Promise<ListeningSocket[]> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`${procFolder}/net/${name}`, 'utf8').catch(() => '')),
  )
  const localPort = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  return tables
    .flatMap((table) => table.split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => local?.endsWith(localPort) && state === listening)
    .map((columns) => ({ uid: Number(columns[7]), inode: columns[9] ?? '' }))
}

async function processOf(
  procFolder: string,
  sockets: ReadonlySet<string>,
  deadline: number,
): Promise<string | undefined> {
  const entries = await readdir(procFolder).catch(() => [])
  const pids = entries.filter((entry) => /^\d+$/.test(entry))
  // Newest first: what holds a callback port was rarely started with the computer.
  pids.sort((a, b) => Number(b) - Number(a))
  for (const pid of pids) {
    if (performance.now() > deadline) return undefined
    const folder = `${procFolder}/${pid}/fd`
    const descriptors = await readdir(folder).catch(() => [])
    const targets = await Promise.all(descriptors.map((fd) => readlink(`${folder}/${fd}`).catch(() => '')))
    if (targets.some((target) => sockets.has(target))) return pid
  }
  return undefined
}
