const MINUTE = 60
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** A length of time in one or two words: `45 s`, `52 min`, `8 h`, `3 days`. */
export function duration(seconds: number): string {
  const length = Math.max(0, Math.round(seconds))
  if (length < 2 * MINUTE) return `${length} s`
  if (length < 2 * HOUR) return `${Math.round(length / MINUTE)} min`
  if (length < 2 * DAY) return `${Math.round(length / HOUR)} h`
  return `${Math.round(length / DAY)} days`
}

/** `in 52 min (2026-11-23 01:40)`; both in seconds since 1970, the clock time as this machine shows it. */
export function moment(at: number, now: number): string {
  const relative = at > now ? `in ${duration(at - now)}` : `${duration(now - at)} ago`
  return `${relative} (${clockTime(at)})`
}

function clockTime(at: number): string {
  const date = new Date(at * 1000)
  const two = (number: number): string => String(number).padStart(2, '0')
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-')
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`
}
