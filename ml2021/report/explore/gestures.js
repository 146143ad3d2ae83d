// What the page does over time: drawing at each width, work in slices of a frame, dragging.

// Draw now and whenever the width of a box changes; returns what draws again.
export function sized(box, draw) {
  let last = 0;
  const redraw = () => {
    const width = Math.floor(box.clientWidth);
    if (width > 0) draw((last = width));
  };
  new ResizeObserver(() => {
    if (Math.floor(box.clientWidth) !== last) redraw();
  }).observe(box);
  return redraw;
}

// start(work) calls work() in slices of some milliseconds until it returns false; a newer work ends
// an older one.
export function sliced(budget = 8) {
  let turn = 0;
  const start = (work) => {
    const own = ++turn;
    const run = () => {
      if (own !== turn) return;
      const until = performance.now() + budget;
      let more = true;
      while (more && performance.now() < until) more = work();
      if (more) requestAnimationFrame(run);
    };
    requestAnimationFrame(run);
  };
  start.stop = () => turn++;
  return start;
}

export const prefersStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

const SLOP = 5; // pixels before a finger's way is known

// Drag along x, or along both axes ("xy"), with mouse, pen or finger; calls get the place in the
// node. Along x a finger that moves up or down scrolls the page, and a tap sets the value.
export function draggable(node, { move, axis = "x", begin = () => {}, end = () => {} }) {
  let drag = null;
  const placeOf = (event) => {
    const box = node.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const start = (event) => {
    drag.on = true;
    node.setPointerCapture(event.pointerId);
    begin(...placeOf(event));
  };
  const stop = (event) => {
    if (drag === null || drag.id !== event.pointerId) return false;
    const { on } = drag;
    drag = null;
    return on;
  };
  node.style.touchAction = axis === "x" ? "pan-y" : "none";
  node.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    drag = { id: event.pointerId, x: event.clientX, y: event.clientY, on: false };
    if (event.pointerType === "touch" && axis === "x") return;
    start(event);
    move(...placeOf(event));
    event.preventDefault();
  });
  node.addEventListener("pointermove", (event) => {
    if (drag === null || drag.id !== event.pointerId) return;
    if (!drag.on) {
      const [right, down] = [Math.abs(event.clientX - drag.x), Math.abs(event.clientY - drag.y)];
      if (right < SLOP || right < down) return;
      start(event);
    }
    move(...placeOf(event));
  });
  node.addEventListener("pointerup", (event) => {
    const tapped = drag !== null && drag.id === event.pointerId && !drag.on;
    if (tapped) {
      begin(...placeOf(event));
      move(...placeOf(event));
    }
    if (stop(event) || tapped) end();
  });
  node.addEventListener("pointercancel", (event) => {
    if (stop(event)) end();
  });
}
