import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/** A browser opens a handful of connections ahead; whatever else is on the machine may open any number. */
const mostWithoutRequest = 64

/**
 * Keeps room for the browser on a port that anybody on this machine can connect to: of the connections that have no
 * request under way the oldest gives way to a new one. A browser sends its request at once, and a callback that is held
 * has one under way.
 */
export function keepRoom(server: Server): void {
  const withoutRequest = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    const [oldest] = withoutRequest
    if (oldest && withoutRequest.size >= mostWithoutRequest) {
      withoutRequest.delete(oldest)
      oldest.destroy()
    }
    withoutRequest.add(socket)
    socket.once('close', () => withoutRequest.delete(socket))
  })
  server.on('request', ({ socket }, response) => {
    withoutRequest.delete(socket)
    response.once('close', () => {
      if (!socket.destroyed) withoutRequest.add(socket)
    })
  })
}
