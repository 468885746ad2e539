// Draws a ThumbHash: a picture's blurred placeholder in some 25 bytes (https://evanw.github.io/thumbhash/).

const LONG_SIDE = 32; // pixels; the browser blurs it further when it enlarges the picture

// Low frequencies of one channel in the order in which they are stored, each as [value, waves across, waves down].
function readTerms(nibbles, across, down, scale) {
  const terms = [];
  for (let y = 0; y < down; y++) {
    for (let x = y ? 0 : 1; x * down < across * (down - y); x++) {
      terms.push([(nibbles.next().value / 7.5 - 1) * scale, x, y]);
    }
  }
  return terms;
}

function* readNibbles(bytes, start) {
  for (const byte of bytes.subarray(start)) {
    yield byte & 15;
    yield byte >> 4;
  }
}

// Reads lightness, yellow-blue and red-green difference, and opacity: each a constant and its terms.
function parse(bytes) {
  const head = bytes[0] | (bytes[1] << 8) | (bytes[2] << 16);
  const more = bytes[3] | (bytes[4] << 8);
  const hasAlpha = head >> 23;
  const longest = hasAlpha ? 5 : 7;
  const shorter = Math.max(3, more & 7);
  const [across, down] = more >> 15 ? [longest, shorter] : [shorter, longest];
  const nibbles = readNibbles(bytes, hasAlpha ? 6 : 5);
  const channel = (constant, ...size) => ({ constant, terms: readTerms(nibbles, ...size) });
  return {
    aspect: (more >> 15 ? longest : more & 7) / (more >> 15 ? more & 7 : longest),
    light: channel((head & 63) / 63, across, down, ((head >> 18) & 31) / 31),
    yellowBlue: channel(((head >> 6) & 63) / 31.5 - 1, 3, 3, (((more >> 3) & 63) / 63) * 1.25),
    redGreen: channel(((head >> 12) & 63) / 31.5 - 1, 3, 3, (((more >> 9) & 63) / 63) * 1.25),
    alpha: hasAlpha ? channel((bytes[5] & 15) / 15, 5, 5, (bytes[5] >> 4) / 15) : { constant: 1, terms: [] },
  };
}

function valueAt({ constant, terms }, x, y) {
  return terms.reduce(
    (sum, [value, across, down]) =>
      sum + 2 * value * Math.cos(Math.PI * across * x) * Math.cos(Math.PI * down * y),
    constant,
  );
}

// Returns the picture of a ThumbHash in base64, as a data URL.
export function placeholderUrl(thumbhash) {
  const hash = parse(Uint8Array.from(atob(thumbhash), (character) => character.charCodeAt(0)));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(LONG_SIDE * Math.min(1, hash.aspect));
  canvas.height = Math.round(LONG_SIDE / Math.max(1, hash.aspect));
  const context = canvas.getContext("2d");
  const picture = context.createImageData(canvas.width, canvas.height);
  for (let index = 0; index < picture.data.length; index += 4) {
    const x = (((index / 4) % canvas.width) + 0.5) / canvas.width;
    const y = (Math.floor(index / 4 / canvas.width) + 0.5) / canvas.height;
    const light = valueAt(hash.light, x, y);
    const difference = valueAt(hash.redGreen, x, y);
    const blue = light - (2 / 3) * valueAt(hash.yellowBlue, x, y);
    const red = (3 * light - blue + difference) / 2;
    const pixel = [red, red - difference, blue, valueAt(hash.alpha, x, y)];
    picture.data.set(pixel.map((value) => 255 * value), index); // the array clamps to 0 to 255
  }
  context.putImageData(picture, 0, 0);
  return canvas.toDataURL();
}
