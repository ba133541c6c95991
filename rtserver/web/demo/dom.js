/**
 * Elements, made of names and text: what people wrote is text on this page, whatever it looks like.
 */

/** Return a new element; `properties` are set, `children` are elements or text. */
export function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/** Return a time of day, or nothing where it is not known. */
export function timeOfDay(timestamp) {
  const moment = timestamp ? new Date(timestamp) : null;
  return moment ? moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : "";
}
