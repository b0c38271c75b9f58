// The texts in view whose colour is too close to what is behind them, as WCAG 2.2 (1.4.3) reckons: 4.5 to 1, or 3 to 1
// where letters are large. Half-transparent colours are laid over what is behind; a gradient counts as nothing.

const parts = (colour) => {
  const [red, green, blue, alpha = 1] = colour.match(/[\d.]+/g).map(Number);
  return { rgb: [red, green, blue], alpha };
};
const over = (top, alpha, bottom) => top.map((channel, place) => channel * alpha + bottom[place] * (1 - alpha));
const linear = (channel) => (channel <= 10.31475 ? channel / 3294.6 : ((channel / 255 + 0.055) / 1.055) ** 2.4);
const light = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
const ratio = (one, other) => {
  const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
};

function lineage(element) {
  const all = [];
  for (let one = element; one; one = one.parentElement) all.unshift(getComputedStyle(one));
  return all;
}

function look(element, colour, size, weight) {
  const styles = lineage(element);
  const behind = styles.map((style) => parts(style.backgroundColor)).reduce((below, { rgb, alpha }) => over(rgb, alpha, below), [255, 255, 255]);
  const opacity = styles.reduce((product, style) => product * Number(style.opacity), 1);
  const { rgb, alpha } = parts(colour);
  const isLarge = size >= 24 || (size >= 18.66 && weight >= 700);
  const found = ratio(over(rgb, alpha * opacity, behind), behind);
  return opacity > 0 && found < (isLarge ? 3 : 4.5) ? found : null;
}

const found = [];
let looked = 0;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const element = node.parentElement;
  if (!node.data.trim() || !element.checkVisibility({ visibilityProperty: true }) || element.closest(".hidden, .skip, option")) continue;
  const style = getComputedStyle(element);
  const bad = look(element, style.color, parseFloat(style.fontSize), Number(style.fontWeight));
  looked += 1;
  if (bad) found.push(`${bad.toFixed(2)} “${node.data.trim().slice(0, 40)}” in ${element.tagName}.${element.className}`);
}
const field = document.getElementById("text");
if (field?.checkVisibility()) {
  const bad = look(field, getComputedStyle(field, "::placeholder").color, 15, 400);
  if (bad) found.push(`${bad.toFixed(2)} placeholder`);
}
return { looked, found };
