"""Image formats: how a file is recognised by its first bytes, whether it is read, and what it is called.

A file is named by its content, never by its suffix.
"""

import dataclasses
import re
from collections.abc import Callable

from model.dataset.decoders.bmp import open_bmp
from model.dataset.decoders.boxes import brands
from model.dataset.decoders.dicom import open_dicom
from model.dataset.decoders.gif import open_gif
from model.dataset.decoders.heif import open_avif, open_heif
from model.dataset.decoders.jpeg import open_jpeg
from model.dataset.decoders.jpeg2000 import open_jpeg2000
from model.dataset.decoders.jpegxl import open_jpegxl
from model.dataset.decoders.netpbm import open_netpbm
from model.dataset.decoders.png import open_png
from model.dataset.decoders.source import ImageSource
from model.dataset.decoders.tiff import has_short_directory, open_tiff
from model.dataset.decoders.webp import open_webp

SIGNATURE_BYTES = 512
"""Number of bytes at the beginning of a file by which it is recognised."""


@dataclasses.dataclass(frozen=True)
class Format:
    """A format that is read.

    Attributes:
        name: name for messages.
        suffixes: usual suffixes of its files, in lower case.
        matches: whether the first `SIGNATURE_BYTES` bytes of a file are those of this format.
        open: reads the header of a file.
        is_bounded: whether the header of a file is short, and is read by parsers of our own; any other one is read in a
            child process.
        scope: what is read of it and what is not, for the guide.
    """

    name: str
    suffixes: tuple[str, ...]
    matches: Callable[[bytes], bool]
    open: Callable[[bytes], ImageSource]
    is_bounded: Callable[[bytes], bool]
    scope: str


@dataclasses.dataclass(frozen=True)
class Unsupported:
    """A format that is not read.

    Attributes:
        kind: name for messages, with its article.
        advice: what to do instead; empty for a file that is no image.
        suffixes: usual suffixes, in lower case, if its files are images.
    """

    kind: str
    advice: str = ""
    suffixes: tuple[str, ...] = ()


def _starts(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda beginning: beginning.startswith(signatures)


def _has_brand(*names: bytes) -> Callable[[bytes], bool]:
    return lambda beginning: not brands(beginning).isdisjoint(names)


def _always(_content: bytes) -> bool:
    return True


def _never(_content: bytes) -> bool:
    return False


def _is_bmp(beginning: bytes) -> bool:
    # Two letters are the beginning of many texts: the length of the header that follows is one of a few.
    return beginning[:2] == b"BM" and beginning[14:18] in [
        length.to_bytes(4, "little") for length in (12, 16, 40, 52, 56, 64, 108, 124)
    ]


_NETPBM = re.compile(rb"P[1-7fF](\s|#)")
_AVIF_BRANDS = (b"avif", b"avis")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1")

# An AVIF is a HEIF as well, by its other brands: it comes first.
FORMATS = (
    Format(
        "JPEG",
        (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"),
        _starts(b"\xff\xd8\xff"),
        open_jpeg,
        _always,
        "Gray, RGB and CMYK of 8 bits, baseline or progressive. A file that lost only the marker of its end is read, "
        "one that lost pixels is refused. Not 12-bit, lossless, hierarchical or JPEG-LS files.",
    ),
    Format(
        "PNG",
        (".png", ".apng"),
        _starts(b"\x89PNG\r\n\x1a\n"),
        open_png,
        _always,
        "All depths and colours, interlaced or not; of an animation, the default image.",
    ),
    Format(
        "TIFF",
        (".tif", ".tiff"),
        _starts(b"II*\0", b"MM\0*", b"II+\0\x08\0", b"MM\0+\0\x08"),
        open_tiff,
        has_short_directory,
        "Gray, RGB, palette, CMYK and YCbCr; integers of 1 to 64 bits with or without sign, and floating-point "
        "numbers; strips and tiles, in any byte order, planar configuration and orientation; BigTIFF; CCITT, LZW, "
        "JPEG, deflate, PackBits, LZMA, Zstandard, WebP and JPEG 2000 compression. The first page is the photo: of an "
        "OME or ImageJ stack, its first plane. Not CIELab, old-style JPEG, subsampled YCbCr without JPEG, nor files "
        "that begin with a reduced image, marked as one or by its size: at most half the width and height of a larger "
        "page of the same shape, or 1/16 of its pixels.",
    ),
    Format(
        "WebP",
        (".webp",),
        lambda first: first[:4] == b"RIFF" and first[8:12] == b"WEBP",
        open_webp,
        _always,
        "Lossy and lossless; of an animation, the first frame.",
    ),
    Format("GIF", (".gif",), _starts(b"GIF87a", b"GIF89a"), open_gif, _always, "The first frame."),
    Format("BMP", (".bmp", ".dib"), _is_bmp, open_bmp, _always, "1 to 32 bits per pixel, run lengths included."),
    Format(
        "AVIF",
        (".avif", ".avifs"),
        _has_brand(*_AVIF_BRANDS),
        open_avif,
        _never,
        "8 to 12 bits; of a sequence, the first frame.",
    ),
    Format(
        "HEIC/HEIF",
        (".heic", ".heif", ".heics", ".heifs", ".hif"),
        _has_brand(*_HEIF_BRANDS),
        open_heif,
        _never,
        "Photos of phones and cameras, coded in HEVC, of 8 to 12 bits; the primary image, turned as the file says.",
    ),
    Format(
        "JPEG 2000",
        (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
        _starts(b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"),
        open_jpeg2000,
        _never,
        "Gray and RGB of up to 16 bits. Not more than four components, nor components of different depths.",
    ),
    Format(
        "JPEG XL",
        (".jxl",),
        _starts(b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
        open_jpegxl,
        _never,
        "Gray and RGB of any depth; of an animation, the first frame.",
    ),
    Format(
        "PPM",
        (".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".pam"),
        lambda first: _NETPBM.match(first) is not None,
        open_netpbm,
        _always,
        "PBM, PGM, PPM of up to 16 bits, and gray PFM. Not PAM, nor PFM in colour.",
    ),
    Format(
        "DICOM",
        (".dcm", ".dicom"),
        lambda first: first[128:132] == b"DICM",
        open_dicom,
        _never,
        'The first frame, by its window, with `pip install "topgraft[dicom]"`; compressions that pydicom decodes.',
    ),
)

_RAW = "develop it, and save it as JPEG or TIFF"
_AS_PNG = "save it as PNG or JPEG"
_FRAMES = "extract its frames as images"
_EXPORT = "export it as TIFF"

# Offset, first bytes, and format; the more specific ones come first.
_SIGNATURES = (
    (0, b"II\x1a\0\0\0HEAPCCDR", Unsupported("a camera raw file of Canon (CRW)", _RAW, (".crw",))),
    (4, b"ftypcrx ", Unsupported("a camera raw file of Canon (CR3)", _RAW, (".cr3",))),
    (0, b"FUJIFILMCCD-RAW", Unsupported("a camera raw file of Fujifilm (RAF)", _RAW, (".raf",))),
    (0, b"IIRO", Unsupported("a camera raw file of Olympus (ORF)", _RAW, (".orf", ".ori"))),
    (0, b"IIRS", Unsupported("a camera raw file of Olympus (ORF)", _RAW)),
    (0, b"MMOR", Unsupported("a camera raw file of Olympus (ORF)", _RAW)),
    (0, b"IIU\0", Unsupported("a camera raw file of Panasonic or Leica (RW2)", _RAW, (".rw2", ".rwl"))),
    (0, b"\0MRM", Unsupported("a camera raw file of Minolta (MRW)", _RAW, (".mrw",))),
    (0, b"FOVb", Unsupported("a camera raw file of Sigma (X3F)", _RAW, (".x3f",))),
    (0, b"8BPS", Unsupported("a Photoshop file", _AS_PNG, (".psd", ".psb"))),
    (0, b"gimp xcf", Unsupported("a GIMP file", _AS_PNG, (".xcf",))),
    (0, b"\x76\x2f\x31\x01", Unsupported("an OpenEXR image", "save it as TIFF", (".exr",))),
    (0, b"#?RADIANCE", Unsupported("a Radiance HDR image", "save it as TIFF", (".hdr",))),
    (0, b"#?RGBE", Unsupported("a Radiance HDR image", "save it as TIFF")),
    (0, b"qoif", Unsupported("a QOI image", _AS_PNG, (".qoi",))),
    (0, b"DDS ", Unsupported("a DDS texture", _AS_PNG, (".dds",))),
    (0, b"SIMPLE  =", Unsupported("a FITS image", _EXPORT, (".fits", ".fit", ".fts"))),
    (0, b"II\xbc\x01", Unsupported("a JPEG XR image", _AS_PNG, (".jxr", ".wdp", ".hdp"))),
    (0, b"BPG\xfb", Unsupported("a BPG image", _AS_PNG, (".bpg",))),
    (0, b"FLIF", Unsupported("a FLIF image", _AS_PNG, (".flif",))),
    (0, b"\x8aMNG", Unsupported("an MNG animation", _FRAMES, (".mng",))),
    (0, b"\x8bJNG", Unsupported("a JNG image", _AS_PNG, (".jng",))),
    (0, b"\0\0\x01\0", Unsupported("a Windows icon", _AS_PNG, (".ico",))),
    (0, b"icns", Unsupported("a macOS icon", _AS_PNG, (".icns",))),
    (0, b"\x0a\x05\x01", Unsupported("a PCX image", _AS_PNG, (".pcx",))),
    (0, b"\x01\xda", Unsupported("an SGI image", _AS_PNG, (".sgi", ".rgb", ".bw"))),
    (0, b"\x59\xa6\x6a\x95", Unsupported("a Sun raster image", _AS_PNG, (".ras",))),
    (0, b"\xd7\xcd\xc6\x9a", Unsupported("a Windows metafile", _AS_PNG, (".wmf",))),
    (40, b" EMF", Unsupported("a Windows metafile", _AS_PNG, (".emf",))),
    (0, b"AT&TFORM", Unsupported("a DjVu document", "export its pages as images", (".djvu",))),
    (0, b"ZISRAWFILE", Unsupported("a Zeiss microscope file (CZI)", _EXPORT, (".czi",))),
    (0, b"\x70\0\0\0", Unsupported("a Leica microscope file (LIF)", _EXPORT, (".lif",))),
    (0, b"\xda\xce\xbe\x0a", Unsupported("a Nikon microscope file (ND2)", _EXPORT, (".nd2",))),
    (208, b"MAP ", Unsupported("an electron microscope file (MRC)", _EXPORT, (".mrc", ".mrcs"))),
    (208, b"MAP\0", Unsupported("an electron microscope file (MRC)", _EXPORT)),
    (0, b"LUCAM-RECORDER", Unsupported("an astronomical video (SER)", _FRAMES, (".ser",))),
    (0, b"XISF0100", Unsupported("an astronomical image (XISF)", _EXPORT, (".xisf",))),
    (0, b"ENVI\n", Unsupported("the header of an ENVI image", _EXPORT, (".hdr",))),
    (0, b"ENVI\r\n", Unsupported("the header of an ENVI image", _EXPORT)),
    (0, b"NRRD0", Unsupported("an NRRD volume", _EXPORT, (".nrrd",))),
    (344, b"n+1\0", Unsupported("a NIfTI volume", _EXPORT, (".nii",))),
    (0, b"\x89HDF", Unsupported("an HDF5 file", _EXPORT)),
    (0, b"CDF\x01", Unsupported("a NetCDF file", _EXPORT)),
    (0, b"CDF\x02", Unsupported("a NetCDF file", _EXPORT)),
    (0, b"MATLAB 5.0", Unsupported("a MATLAB file", _EXPORT)),
    (0, b"\x93NUMPY", Unsupported("a NumPy array", _AS_PNG)),
    (0, b"%PDF", Unsupported("a PDF document", "export its pages as images")),
    (0, b"%!PS", Unsupported("a PostScript file", _AS_PNG, (".eps",))),
    (0, b"\xc5\xd0\xd3\xc6", Unsupported("a PostScript file", _AS_PNG)),
    (0, b"PK\x03\x04", Unsupported("a zip archive (or an office document)", "unpack it")),
    (0, b"\x1f\x8b", Unsupported("a gzip archive", "unpack it")),
    (0, b"\xfd7zXZ", Unsupported("an xz archive", "unpack it")),
    (0, b"BZh", Unsupported("a bzip2 archive", "unpack it")),
    (0, b"7z\xbc\xaf\x27\x1c", Unsupported("a 7z archive", "unpack it")),
    (0, b"Rar!", Unsupported("a RAR archive", "unpack it")),
    (257, b"ustar", Unsupported("a tar archive", "unpack it")),
    (0, b"\xd0\xcf\x11\xe0", Unsupported("an office document or microscope file (OLE2)", "export its images")),
    (0, b"SQLite format 3", Unsupported("a SQLite database")),
    (8, b"AVI ", Unsupported("a video (AVI)", _FRAMES)),
    (8, b"WAVE", Unsupported("a sound")),
    (0, b"ID3", Unsupported("a sound")),
    (0, b"fLaC", Unsupported("a sound")),
    (0, b"OggS", Unsupported("a sound or video (Ogg)", _FRAMES)),
    (0, b"\x1a\x45\xdf\xa3", Unsupported("a video (Matroska or WebM)", _FRAMES)),
    (0, b"\0\0\x01\xba", Unsupported("a video (MPEG)", _FRAMES)),
    (0, b"\0\0\x01\xb3", Unsupported("a video (MPEG)", _FRAMES)),
    (0, b"FLV\x01", Unsupported("a video (Flash)", _FRAMES)),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Unsupported("a video (Windows Media)", _FRAMES)),
    (4, b"ftyp", Unsupported("a video (MP4 or QuickTime)", _FRAMES)),
    (4, b"moov", Unsupported("a video (QuickTime)", _FRAMES)),
    (4, b"mdat", Unsupported("a video (QuickTime)", _FRAMES)),
    (0, b"version https://git-lfs", Unsupported("a pointer of Git LFS", "run git lfs pull")),
)
# Formats whose first bytes vary.
_PATTERNS = (
    (
        re.compile(rb"\0\0\0\x03.{4}\0\0\0[\0\x01]|\0\0\0\x04.{8}\0\0\0[\0\x01]", re.DOTALL),
        Unsupported("an electron microscope file (DM3 or DM4)", _EXPORT, (".dm3", ".dm4")),
    ),
    (
        re.compile(rb"(ObjectType|NDims|Comment)[ \t]*=[^\n]*\n[^\0]*?(NDims|DimSize)[ \t]*=|NDims[ \t]*=[ \t]*\d"),
        Unsupported("a MetaImage volume", _EXPORT, (".mha", ".mhd")),
    ),
    # A cursor has images; where it has their number, a TGA without a colour map has zeros.
    (re.compile(rb"\0\0\x02\0(?!\0\0)"), Unsupported("a Windows cursor", _AS_PNG, (".cur",))),
    (
        re.compile(
            # Colour map, width and height, depth and alpha.
            rb".(\0[\x02\x03\x0a\x0b]\0{5}|\x01[\x01\x09].{4}[\x0f\x10\x18\x20]).{4}"
            rb"(?!\0\0).{2}(?!\0\0).{2}[\x08\x0f\x10\x18\x20][\0-\x3f]",
            re.DOTALL,
        ),
        Unsupported("a TGA image", _AS_PNG, (".tga",)),
    ),
)
_SVG = Unsupported("an SVG drawing", _AS_PNG, (".svg",))
_WEB_PAGE = Unsupported("a web page", "download the image itself")
_XPM = Unsupported("an XPM or XBM image", _AS_PNG, (".xpm", ".xbm"))
RAW_SUFFIXES = (
    *(".3fr", ".arw", ".cr2", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".nef", ".nrw"),
    *(".pef", ".sr2", ".srf", ".srw"),
)
"""Suffixes of camera raw files that are TIFFs; they are recognised by their directories."""

UNSUPPORTED = (*(item for _, _, item in _SIGNATURES), *(item for _, item in _PATTERNS), _SVG, _XPM, _WEB_PAGE)
"""Formats that are not read, and are named."""

FORMAT_NAMES = ", ".join(item.name for item in FORMATS if item.name != "DICOM")
"""Names of the formats that every installation reads, for messages."""

IMAGE_SUFFIXES = frozenset(
    {suffix for item in FORMATS for suffix in item.suffixes}
    | {suffix for _, _, item in _SIGNATURES for suffix in item.suffixes}
    | {suffix for _, item in _PATTERNS for suffix in item.suffixes}
    | {*RAW_SUFFIXES, *_SVG.suffixes, *_XPM.suffixes}
)
"""Suffixes of image files in lower case, whether or not they are read."""

_TAG = re.compile(rb"<(svg|!doctype html|html)\b", re.IGNORECASE)


def find_format(beginning: bytes) -> Format | None:
    """The format that is read of a file with these first bytes; None if it is none of them."""
    beginning = beginning[:SIGNATURE_BYTES]
    return next((item for item in FORMATS if item.matches(beginning)), None)


def find_unsupported(beginning: bytes) -> Unsupported | None:
    """The format that is not read of a file with these first bytes; None if it is not known."""
    for start, signature, item in _SIGNATURES:
        if beginning[start : start + len(signature)] == signature:
            return item
    for pattern, item in _PATTERNS:
        if pattern.match(beginning[:SIGNATURE_BYTES]):
            return item
    if beginning.startswith((b"/* XPM */", b"#define ")):
        return _XPM
    if match := _TAG.search(beginning[:SIGNATURE_BYTES]):
        return _SVG if match.group(1).lower() == b"svg" else _WEB_PAGE
    return None


def looks_like_image(beginning: bytes) -> bool:
    """Whether the first bytes of a file, `SIGNATURE_BYTES` if it has so many, are those of an image, read or not."""
    if find_format(beginning) is not None:
        return True
    unsupported = find_unsupported(beginning)
    return unsupported is not None and bool(unsupported.suffixes)
