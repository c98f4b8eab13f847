"""GitHub's Markdown to HTML, by its own parser, and without what cmarkgfm forgets to free."""

import ctypes
from functools import cache

from cmarkgfm import cmark

FFI, LIB = cmark._cmark.ffi, cmark._cmark.lib
# A line is a line, as people type it; HTML and any address are let through: who calls has taken out the
# former, and looks at the latter.
OPTIONS = LIB.CMARK_OPT_HARDBREAKS | LIB.CMARK_OPT_UNSAFE
EXTENSIONS = ("table", "autolink", "strikethrough", "tasklist")


@cache
def _freeing():
    """Return what frees a document, and what frees a text; cmarkgfm binds neither."""
    freeing = ctypes.CDLL(cmark._cmark.__file__).cmark_node_free, ctypes.CDLL(None).free
    for each in freeing:
        each.argtypes, each.restype = (ctypes.c_void_p,), None
    return freeing


def html(text):
    """Return Markdown as HTML.

    cmarkgfm's own function keeps the document and the answer for ever: 150 kB of memory for each kB of text.
    """
    free_document, free_text = _freeing()
    cmark.core_extensions_ensure_registered()
    parser = cmark.parser_new(options=OPTIONS)
    try:
        for name in EXTENSIONS:
            cmark.parser_attach_syntax_extension(parser, cmark.find_syntax_extension(name))
        cmark.parser_feed(parser, text)
        document = cmark.parser_finish(parser)
        made = LIB.cmark_render_html(document, OPTIONS, cmark.parser_get_syntax_extensions(parser))
        told = FFI.string(made).decode()
        free_text(int(FFI.cast("uintptr_t", made)))
        free_document(int(FFI.cast("uintptr_t", document)))
    finally:
        cmark.parser_free(parser)
    return told
