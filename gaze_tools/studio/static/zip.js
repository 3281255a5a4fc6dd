/** A ZIP file of uncompressed entries (APPNOTE.TXT 6.3.10), enough for JPEGs and two small texts. */

const TABLE = Uint32Array.from({ length: 256 }, (_, start) => {
  let value = start;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

function crc32(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = TABLE[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/** Returns a ZIP file of `[name, Blob]` pairs; names are ASCII. */
export async function makeZip(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [name, blob] of files) {
    const content = new Uint8Array(await blob.arrayBuffer());
    const label = new TextEncoder().encode(name);
    const common = [20, 0, 0, 0, 0x21, crc32(content), content.length, content.length, label.length, 0];
    parts.push(pack(0x04034b50, common, "hhhhhIIIhh"), label, content);
    const entry = pack(0x02014b50, [20, ...common, 0, 0, 0, 0, offset], "hhhhhhIIIhhhhhII");
    directory.push(entry, label);
    offset += 30 + label.length + content.length;
  }
  const length = directory.reduce((sum, each) => sum + each.length, 0);
  const end = pack(0x06054b50, [0, 0, files.length, files.length, length, offset, 0], "hhhhIIh");
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/** Little-endian integers of 2 (`h`) and 4 (`I`) bytes after a signature. */
function pack(signature, values, form) {
  const bytes = new Uint8Array(4 + [...form].reduce((sum, each) => sum + (each === "h" ? 2 : 4), 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, signature, true);
  let at = 4;
  [...form].forEach((each, index) => {
    if (each === "h") view.setUint16(at, values[index], true);
    else view.setUint32(at, values[index], true);
    at += each === "h" ? 2 : 4;
  });
  return bytes;
}
