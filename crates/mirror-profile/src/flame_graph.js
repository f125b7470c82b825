const bars = [...document.querySelectorAll('.bar')].map((element) => ({
  element,
  from: Number(element.dataset.from),
  to: Number(element.dataset.to),
}));
const enlarge = (shown) => {
  const percent = (samples) => `${(100 * samples) / (shown.to - shown.from)}%`;
  for (const { element, from, to } of bars) {
    const begin = Math.max(from, shown.from);
    const end = Math.min(to, shown.to);
    element.style.display = begin < end ? '' : 'none';
    if (begin < end) {
      element.setAttribute('x', percent(begin - shown.from));
      element.setAttribute('width', percent(end - begin));
    }
  }
};
for (const bar of bars) {
  bar.element.addEventListener('click', () => enlarge(bar));
}
