/** What the small sign beside the key says. Never by colour alone. */
export type Tone = 'success' | 'error' | 'cancelled' | 'expired' | 'question'

const signs: Readonly<Record<Tone, string>> = {
  success: '<path d="m70.2 76.4 4.4 4.4 7.8-8.8"/>',
  error: '<path d="M76 68.8v8.2m0 5.8v.1"/>',
  cancelled: '<path d="m71 71 10 10m0-10L71 81"/>',
  expired: '<path d="M76 69v7.4l4.4 2.8"/>',
  question: '<path d="M72 73.2a4 4 0 1 1 5.6 3.6c-1 .5-1.6 1.2-1.6 2.4v.2m0 4v.1"/>',
}

/** A key on a round ground with a sign for the outcome: drawn in the page, says nothing that the heading does not say. */
export function mark(tone: Tone): string {
  return (
    '<svg class="mark" viewBox="0 0 96 96" width="84" height="84" fill="none" aria-hidden="true" focusable="false">' +
    '<circle class="ground" cx="46" cy="46" r="44"/>' +
    '<g class="key" stroke-width="4.6" stroke-linecap="round" stroke-linejoin="round" transform="translate(45 46.5) rotate(135) scale(1.04) translate(-46 -46)">' +
    '<circle cx="32" cy="46" r="12"/><path d="M44 46h32M66 46v-8M75 46v-10"/></g>' +
    `<g class="sign" stroke-width="3.8" stroke-linecap="round" stroke-linejoin="round"><circle cx="76" cy="76" r="17"/>${signs[tone]}</g>` +
    '</svg>'
  )
}
