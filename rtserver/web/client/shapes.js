/**
 * The shapes beside the words, one for each state, so that none is told apart by its colour alone.
 *
 * Owns SVG paths in a box of 16 by 16, and one around it.
 */

const RING = "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1zm0 2a5 5 0 1 1 0 10A5 5 0 0 1 8 3z";

export const SHAPES = {
  connecting: "M2 6.500h3v3H2zM6.500 6.500h3v3h-3zM11 6.500h3v3h-3z",
  live: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1z",
  delayed: `${RING}M8 3a5 5 0 0 1 0 10z`,
  polling: `${RING}M7.200 4.500h1.600v3.200l2.300 1.400-.8 1.300-3.100-1.900z`,
  reconnecting: "M8 2a6 6 0 0 1 5.200 3H11v2h6V1h-2v2.600A8 8 0 0 0 0 8h2a6 6 0 0 1 6-6zm6 6a6 6 0 0 1-11.200 3H5V9H-1v6h2v-2.600A8 8 0 0 0 16 8z",
  offline: "M2.400 1 15 13.600 13.600 15 1 2.400zM8 1a7 7 0 0 1 6.300 10L12.800 9.500A5 5 0 0 0 6.500 3.200L5 1.700A7 7 0 0 1 8 1zM1.700 5l1.500 1.500a5 5 0 0 0 6.300 6.300L11 14.300A7 7 0 0 1 1.700 5z",
  blocked: "M8 1 15.500 14.500H.5zM7.200 6v4.200h1.600V6zm0 5.200v1.600h1.600v-1.600z",
  "signed-out": "M5 7V5a3 3 0 0 1 6 0v2h2v7H3V7zm1.700 0h2.600V5a1.300 1.300 0 0 0-2.600 0z",
  stopped: "M2 2h12v12H2z",
};
