// Elements in view that stick out of the window sideways, or scroll sideways themselves.

const found = [];
for (const element of document.body.querySelectorAll("*")) {
  if (!element.checkVisibility({ visibilityProperty: true }) || element.closest(".hidden, .skip, svg") || element.id === "shade") continue;
  const { left, right, width } = element.getBoundingClientRect();
  const name = `${element.tagName}#${element.id}.${element.className}`;
  if (width > 0 && (left < -0.5 || right > innerWidth + 0.5)) found.push(`${name} reaches from ${left} to ${right}`);
  const scrolls = ["auto", "scroll"].includes(getComputedStyle(element).overflowX);
  if (scrolls && element.scrollWidth > element.clientWidth) found.push(`${name} scrolls sideways`);
}
if (document.documentElement.scrollWidth > innerWidth) found.push("the page scrolls sideways");
return found;
