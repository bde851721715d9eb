/**
 * Reads the XML that descriptors of images are written in: elements, attributes, text, CDATA, comments and
 * processing instructions ("Extensible Markup Language 1.0"), within bounds. There is no document type and
 * there are no entities but XML's own five and characters by number, so a text never grows by being read.
 */
export interface XmlElement {
  /** Without a prefix: descriptors are told apart by names that are the same in every version's namespace. */
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly XmlElement[];
  /** Its own text, without that of its children. */
  readonly text: string;
}

/** What is wrong with a text, and where. */
export class XmlUnreadable extends Error {
  constructor(what: string, offset: number) {
    super(`${what} at character ${offset}`);
    this.name = 'XmlUnreadable';
  }
}

export const XML_CHARACTERS_MAX = 4 * 1024 * 1024;
const DEPTH_MAX = 64;
const ELEMENTS_MAX = 50_000;
const ATTRIBUTES_MAX = 100;

const NAME = /[\p{L}_:][\p{L}\p{N}_:.-]{0,200}/uy;
const ATTRIBUTE = /\s+([\p{L}_:][\p{L}\p{N}_:.-]{0,200})\s*=\s*(?:"([^"<]*)"|'([^'<]*)')/uy;
const TAG_END = /\s*(\/?)>/y;
const CLOSING = /<\/([\p{L}_:][\p{L}\p{N}_:.-]{0,200})\s*>/uy;
const REFERENCE = /&(?:#(\d{1,7})|#x([0-9A-Fa-f]{1,6})|([A-Za-z]{1,10}));|&/g;
const NAMED: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

/** Passages that hold no elements: how they begin and end. */
const PASSAGES = [
  { begin: '<!--', end: '-->' },
  { begin: '<?', end: '?>' },
] as const;
const CDATA = { begin: '<![CDATA[', end: ']]>' };

interface Growing {
  /** With its prefix, for the closing tag. */
  readonly tag: string;
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: XmlElement[];
  text: string;
}

/** The outermost element of a text. Throws XmlUnreadable. */
export function readXml(source: string): XmlElement {
  if (source.length > XML_CHARACTERS_MAX) throw new XmlUnreadable('longer than is read', XML_CHARACTERS_MAX);
  return new XmlReader(source.startsWith('\ufeff') ? source.slice(1) : source).read();
}

class XmlReader {
  private at = 0;
  private elements = 0;
  private readonly open: Growing[] = [];
  private root: XmlElement | undefined;

  constructor(private readonly source: string) {}

  read(): XmlElement {
    while (this.at < this.source.length) this.next();
    const left = this.open.at(-1);
    if (left) throw this.unreadable(`<${left.tag}> is not closed`);
    if (!this.root) throw this.unreadable('no element');
    return this.root;
  }

  private next(): void {
    const { source, at } = this;
    if (source[at] !== '<') return this.takeText();
    const passage = PASSAGES.find(({ begin }) => source.startsWith(begin, at));
    if (passage) {
      this.at = this.endOf(passage.begin, passage.end);
      return;
    }
    if (source.startsWith(CDATA.begin, at)) {
      const end = this.endOf(CDATA.begin, CDATA.end);
      this.addText(source.slice(at + CDATA.begin.length, end - CDATA.end.length));
      this.at = end;
      return;
    }
    if (source.startsWith('<!', at)) throw this.unreadable('a document type, which is not taken,');
    if (source.startsWith('</', at)) return this.closeElement();
    this.openElement();
  }

  private takeText(): void {
    const end = this.source.indexOf('<', this.at);
    const until = end === -1 ? this.source.length : end;
    this.addText(this.resolve(this.source.slice(this.at, until)));
    this.at = until;
  }

  private addText(text: string): void {
    const inner = this.open.at(-1);
    if (inner) inner.text += text;
    else if (text.trim() !== '') throw this.unreadable('text outside of an element');
  }

  private openElement(): void {
    if (this.root) throw this.unreadable('a second outermost element');
    this.elements += 1;
    if (this.elements > ELEMENTS_MAX) throw this.unreadable(`more than ${ELEMENTS_MAX} elements`);
    if (this.open.length >= DEPTH_MAX) throw this.unreadable(`more than ${DEPTH_MAX} elements in each other`);
    this.at += 1;
    const tag = this.match(NAME, 'no name of an element')[0];
    const attributes = this.takeAttributes();
    const [, slash] = this.match(TAG_END, `<${tag}> is not complete`);
    const element: Growing = { tag, name: withoutPrefix(tag), attributes, children: [], text: '' };
    if (slash === '/') this.finish(element);
    else this.open.push(element);
  }

  private takeAttributes(): Map<string, string> {
    const attributes = new Map<string, string>();
    for (;;) {
      ATTRIBUTE.lastIndex = this.at;
      const found = ATTRIBUTE.exec(this.source);
      if (!found) return attributes;
      const [whole, key = '', double, single = ''] = found;
      this.at += whole.length;
      // Names that only declare a prefix are not attributes.
      if (key === 'xmlns' || key.startsWith('xmlns:')) continue;
      const name = withoutPrefix(key);
      if (attributes.has(name)) throw this.unreadable(`the attribute ${name} twice`);
      if (attributes.size >= ATTRIBUTES_MAX) throw this.unreadable('too many attributes');
      attributes.set(name, this.resolve(double ?? single));
    }
  }

  private closeElement(): void {
    const [, tag = ''] = this.match(CLOSING, 'a closing tag that is none');
    const element = this.open.pop();
    if (element?.tag !== tag) throw this.unreadable(`</${tag}> closes what is not open`);
    this.finish(element);
  }

  private finish({ name, attributes, children, text }: Growing): void {
    const element = { name, attributes, children, text };
    const outer = this.open.at(-1);
    if (outer) outer.children.push(element);
    else this.root = element;
  }

  private match(pattern: RegExp, otherwise: string): RegExpExecArray {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.source);
    if (!found) throw this.unreadable(otherwise);
    this.at += found[0].length;
    return found;
  }

  private endOf(begin: string, end: string): number {
    const found = this.source.indexOf(end, this.at + begin.length);
    if (found === -1) throw this.unreadable(`${begin} is not closed`);
    return found + end.length;
  }

  private resolve(text: string): string {
    return text.replace(REFERENCE, (whole, decimal?: string, hex?: string, name?: string) => {
      const known = name !== undefined && Object.hasOwn(NAMED, name) ? NAMED[name] : undefined;
      if (known !== undefined) return known;
      const code = decimal !== undefined ? Number(decimal) : hex !== undefined ? parseInt(hex, 16) : 0;
      if (code === 0 || code > 0x10ffff) throw this.unreadable(`the unknown reference ${whole}`);
      return String.fromCodePoint(code);
    });
  }

  private unreadable(what: string): XmlUnreadable {
    return new XmlUnreadable(what, this.at);
  }
}

function withoutPrefix(name: string): string {
  return name.slice(name.lastIndexOf(':') + 1);
}

/** The children of that name, from all elements given. */
export function childrenOf(parents: readonly XmlElement[], name: string): XmlElement[] {
  return parents.flatMap(({ children }) => children.filter((child) => child.name === name));
}

/** The text at the end of a path of names, where it leads to exactly one element; undefined otherwise. */
export function textAt(element: XmlElement, ...path: readonly string[]): string | undefined {
  let found: readonly XmlElement[] = [element];
  for (const name of path) found = childrenOf(found, name);
  const [only] = found;
  return found.length === 1 && only ? only.text.trim() : undefined;
}
