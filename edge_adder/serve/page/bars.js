/** Bars of probabilities, each with its value as text for screen readers. Needs page.css. */

/** Fills a list with a bar for each value from 0. */
export function makeBars(list, count) {
  for (let value = 0; value < count; value++) {
    const item = document.createElement("li");
    for (const name of ["share", "bar", "label"]) {
      const part = document.createElement("span");
      part.className = name;
      item.append(part);
    }
    item.querySelector(".label").textContent = value;
    item.querySelector(".label").ariaHidden = "true";
    list.append(item);
  }
  setBars(list, null);
}

/** Shows probabilities, or none. */
export function setBars(list, probabilities) {
  const best = probabilities ? probabilities.indexOf(Math.max(...probabilities)) : -1;
  [...list.children].forEach((item, value) => {
    const probability = probabilities?.[value] ?? 0;
    const text = probabilities ? `${value}: ${percent(probability)}` : `${value}: not known yet`;
    item.querySelector(".bar").style.height = `${100 * probability}%`;
    item.querySelector(".share").textContent = text;
    item.title = text;
    item.classList.toggle("best", value === best);
  });
}

/** Rounded down, so that only what is certain is 100 %. */
export function percent(probability) {
  return `${(Math.floor(1e4 * probability) / 100).toFixed(2)} %`;
}
