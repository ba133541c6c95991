"""A disk in memory under the real SQLite, which fails and loses power when a test says so.

It is a SQLite VFS made with ctypes, registered in the very library that `sqlite3` uses: pager, WAL, recovery and
checkpoints under test are the shipped ones.  It knows bytes, files and syncs; no SQL and no server.  One thread at
a time; all randomness comes from the `random.Random` given, all time from `now_seconds`.

What SQLite may rely on here, and what not:

- Programs see their own writes at once (page cache).  `kill` keeps all of them; of the write it interrupts, a prefix.
- A sync makes durable all earlier writes and truncations of that file, and the file's entry in the directory.
- `power_loss` draws for each file how bad it is.  Then every unsynced write, in any subset, survives, vanishes or is
  torn: each 512-byte sector of it survives or not.  Every unsynced truncation survives or vanishes.  A file may have
  grown without its data; such holes hold zeros or garbage.
- Bytes outside the range of a write never change: SQLITE_IOCAP_POWERSAFE_OVERWRITE, which SQLite's own unix VFS
  claims too.  Nothing else is claimed: no atomic write, no safe append, no order.
- An unsynced creation or deletion happened or not, at random.  A deletion that SQLite asks to sync is durable.
- A write that fails leaves any prefix behind.  A sync that fails keeps any subset and, as Linux does, forgets the
  rest: programs go on reading it, a later sync says yes and does not write it (`forgets_failed_syncs`).
- Shared memory (the WAL index) dies with the process.  Locks are kept, so SQLITE_BUSY happens.
- Bytes do not rot, and a sync that says yes is true.

SQLite draws WAL salts from one generator per process, not from the VFS.  For the same bytes from the same seed, each
exclusive lock reseeds that generator from ours; `close` gives it back to the system's randomness.
"""

import _sqlite3
import ctypes
import ctypes.util
import enum
import functools
import itertools
import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from urllib.parse import quote

SECTOR_BYTES = 512
Image = Mapping[str, bytes]

# From sqlite3.h; Python's module has only the result codes.
_OK = 0
_OPEN_READONLY, _OPEN_CREATE = 1, 4
_SHM_UNLOCK, _SHM_EXCLUSIVE = 1, 8
_SHARED, _RESERVED, _PENDING, _EXCLUSIVE = 1, 2, 3, 4
_POWERSAFE_OVERWRITE = 0x1000
_PRNG_SEED = 28
_JULIAN_MILLISECONDS_AT_1970 = 210_866_760_000_000

# How bad a power loss is: the chance of an unsynced write to survive whole, and to be torn.  The extremes are drawn
# as often as the middle: "all lost" and "all kept" are common in real life and would be rare under fair coins.
_SEVERITIES = ((0.0, 0.0), (0.0, 1.0), (0.5, 0.3), (0.9, 0.05), (1.0, 0.0))


class Operation(enum.Enum):
    """What can be made to fail, and with which code by default.  All but READ change the disk."""

    READ = sqlite3.SQLITE_IOERR_READ
    WRITE = sqlite3.SQLITE_IOERR_WRITE
    SYNC = sqlite3.SQLITE_IOERR_FSYNC
    TRUNCATE = sqlite3.SQLITE_IOERR_TRUNCATE
    DELETE = sqlite3.SQLITE_IOERR_DELETE


@dataclass(slots=True)
class _Fault:
    operation: Operation | None  # None: any change
    code: int
    after: int
    times: int | None  # None: until heal()
    crash: Callable[[], None] | None = None

    def concerns(self, operation: Operation) -> bool:
        return self.operation is operation or (self.operation is None and operation is not Operation.READ)


class SimulatedCursor(sqlite3.Cursor):
    """Ends its statement before it is freed.

    A cursor is freed while the exception that interrupted its loop is passing; SQLite then unlocks, and a ctypes
    callback under a pending exception turns it into `SystemError: error return without exception set`.  Python runs
    `__del__` with that exception set aside.
    """

    def __del__(self) -> None:
        try:
            self.close()
        except sqlite3.ProgrammingError:  # its connection is closed, so its statement is ended
            pass


class SimulatedConnection(sqlite3.Connection):
    """A connection whose cursors are simulated ones."""

    def cursor(self, factory: Any = SimulatedCursor) -> Any:
        return super().cursor(factory)

    # The inherited shortcuts would make a plain cursor without asking `cursor`.

    def execute(self, *arguments: Any) -> Any:
        return self.cursor().execute(*arguments)

    def executemany(self, *arguments: Any) -> Any:
        return self.cursor().executemany(*arguments)

    def executescript(self, *arguments: Any) -> Any:
        return self.cursor().executescript(*arguments)


class SimulatedDisk:
    """Files shared by the connections of one thread.  Close it, or use it as a context manager.

    Counters: `writes`, `syncs`, `bytes_written`, `crashes`, and `changes`: writes, syncs, truncations and deletions,
    which are the moments at which a crash makes a difference.  `errors` holds exceptions that could not pass
    through SQLite.
    """

    _numbers = itertools.count(1)

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.now_seconds = 1_700_000_000.0  # moved by hand, and by SQLite when it sleeps between attempts to lock
        self.forgets_failed_syncs = True
        self.writes = self.syncs = self.bytes_written = self.changes = self.crashes = 0
        self.errors: list[BaseException] = []
        self._faults: list[_Fault] = []
        self._entries: dict[str, _File] = {}
        self._synced_entries: dict[str, _File] = {}
        self._vfs_name = f"simulated-disk-{next(self._numbers)}"
        self._process = _Process(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def uri(self, name: str, *, read_only: bool = False) -> str:
        """The address for `sqlite3.connect(..., uri=True, factory=SimulatedConnection)`; it survives crashes."""
        return f"file:{quote(name)}?vfs={self._vfs_name}&mode={'ro' if read_only else 'rwc'}"

    def connect(self, name: str, *, read_only: bool = False) -> sqlite3.Connection:
        uri = self.uri(name, read_only=read_only)
        return sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, factory=SimulatedConnection
        )

    def fail(self, operation: Operation, code: int | None = None, *, after: int = 0, times: int | None = None) -> None:
        """Let the next `after` operations of a kind pass, then fail `times` of them, or all until `heal`.

        `code` is the SQLite result, for instance SQLITE_FULL; without it the I/O error of that operation.
        """
        self._faults.append(_Fault(operation, operation.value if code is None else code, after, times))

    def heal(self) -> None:
        """Lift all faults, and cancel a crash that has not come yet."""
        self._faults.clear()

    def kill(self, *, after: int | None = None) -> None:
        """End the process now, or in the middle of the change that follows `after` others; written data stays."""
        if after is None:
            self.crashes += 1
            self._end_process()
        else:
            self._faults.append(_Fault(None, sqlite3.SQLITE_IOERR, after, 1, self.kill))

    def power_loss(self, *, after: int | None = None) -> None:
        """End the machine now, or in the middle of the change that follows `after` others; unsynced data is at risk."""
        if after is None:
            self.crashes += 1
            self._end_process()
            self._lose_unsynced()
        else:
            self._faults.append(_Fault(None, sqlite3.SQLITE_IOERR, after, 1, self.power_loss))

    def image(self) -> Image:
        """All files as programs see them.  While connections are open, this is what `kill` would leave."""
        return {name: bytes(file.data) for name, file in self._entries.items()}

    def restore(self, image: Image) -> None:
        """Replace all files by those of an image, synced; open handles die."""
        self._end_process()
        self._place({name: _File(content) for name, content in image.items()})

    def close(self) -> None:
        """Unregister; then raise the first exception that could not pass through SQLite.

        Connections still open are dead, and may be closed later.
        """
        self._process.die()
        self._place({})
        self._faults.clear()
        _sqlite().sqlite3_test_control(_PRNG_SEED, 0, None)
        if self.errors:
            raise self.errors[0]

    def _end_process(self) -> None:
        self._faults = [fault for fault in self._faults if fault.crash is None]  # a full disk stays full
        self._process.die()
        self._process = _Process(self)

    def _lose_unsynced(self) -> None:
        survivors = {}
        for name in sorted(self._entries.keys() | self._synced_entries.keys()):  # sorted: sets have no stable order
            file, synced = self._entries.get(name), self._synced_entries.get(name)
            # Deleted and created again are two changes, so there are three directories to wake up with.
            moments = [file] if file is synced else [synced, None, file] if file and synced else [synced, file]
            survivor = self.rng.choice(moments)
            if survivor is not None:
                survivor.lose_unsynced(self.rng)
                survivors[name] = _File(survivor.synced)
        self._place(survivors)

    def _place(self, files: "dict[str, _File]") -> None:
        self._entries, self._synced_entries = files, dict(files)

    def _due(self, operation: Operation) -> _Fault | None:
        """The fault that strikes this operation, if any; all that wait for one like it count down."""
        struck = None
        for fault in [fault for fault in self._faults if fault.concerns(operation)]:
            if fault.after:
                fault.after -= 1
            elif struck is None:
                struck = fault
                if fault.times is not None:
                    fault.times -= 1
                    if not fault.times:
                        self._faults.remove(fault)
        return struck

    def _happens_nevertheless(self, fault: _Fault) -> bool:
        """Whether what cannot happen by half was over when the crash came."""
        return fault.crash is not None and self.rng.random() < 0.5

    def _strike(self, fault: _Fault) -> int:
        if fault.crash is not None:
            fault.crash()
        return fault.code

    def _reseed(self) -> None:
        _sqlite().sqlite3_test_control(_PRNG_SEED, self.rng.getrandbits(31) | 1, None)


class _File:
    """Bytes as programs see them (`data`), as the platter holds them (`synced`), and the changes between the two."""

    __slots__ = ("data", "synced", "pending", "handles", "shared_memory")

    def __init__(self, content: bytes | bytearray = b"") -> None:
        self.data = bytearray(content)
        self.synced = bytearray(content)
        self.pending: list[tuple[int, bytes | None]] = []  # offset and chunk; or size and None, a truncation
        self.handles: list[_Handle] = []
        self.shared_memory: _SharedMemory | None = None

    def write(self, offset: int, chunk: bytes) -> None:
        if chunk:
            _overwrite(self.data, offset, chunk)
            self.pending.append((offset, chunk))

    def truncate(self, size: int) -> None:
        _resize(self.data, size)
        self.pending.append((size, None))

    def sync(self) -> None:
        for offset, chunk in self.pending:
            if chunk is None:
                _resize(self.synced, offset)
            else:
                _overwrite(self.synced, offset, chunk)
        self.pending.clear()

    def lose_unsynced(self, rng: random.Random) -> None:
        """Let a random part of what is pending reach the platter, and forget the rest."""
        if not self.pending:
            return
        whole, torn = rng.choice(_SEVERITIES)
        fill = rng.choice((bytes, rng.randbytes))
        for offset, chunk in self.pending:
            fate = rng.random()
            if chunk is None:
                if fate < whole + torn / 2:
                    _resize(self.synced, offset, fill)
            elif fate < whole:
                _overwrite(self.synced, offset, chunk, fill)
            elif fate < whole + torn:
                for start, piece in _sectors(offset, chunk):
                    if rng.random() < 0.5:
                        _overwrite(self.synced, start, piece, fill)
        if len(self.synced) < len(self.data) and rng.random() < 0.25:  # the size was journaled, the data was not
            _resize(self.synced, len(self.data), fill)
        self.pending.clear()


def _overwrite(data: bytearray, offset: int, chunk: bytes, fill: Callable[[int], bytes] = bytes) -> None:
    if offset > len(data):
        data += fill(offset - len(data))
    data[offset : offset + len(chunk)] = chunk


def _resize(data: bytearray, size: int, fill: Callable[[int], bytes] = bytes) -> None:
    if size > len(data):
        data += fill(size - len(data))
    else:
        del data[size:]


def _sectors(offset: int, chunk: bytes) -> Iterator[tuple[int, bytes]]:
    """The chunk, cut where sectors of the disk begin."""
    end = offset + len(chunk)
    cuts = (offset, *range(offset - offset % SECTOR_BYTES + SECTOR_BYTES, end, SECTOR_BYTES), end)
    for start, stop in itertools.pairwise(cuts):
        yield start, chunk[start - offset : stop - offset]


class _Process:
    """One life of the program: the VFS it opens files through.  Dead, it and its handles answer with I/O errors.

    Each connection keeps the address of its VFS, so the structure lives until the last handle is closed; the next
    life gets another one under the same name.
    """

    def __init__(self, disk: SimulatedDisk) -> None:
        self.disk, self.is_dead = disk, False
        self.handles: list[_Handle] = []
        self._vfs = _Vfs.from_buffer_copy(_VFS)
        self._vfs.zName = disk._vfs_name.encode()
        _processes[ctypes.addressof(self._vfs)] = self
        _sqlite().sqlite3_vfs_register(ctypes.byref(self._vfs), 0)

    def die(self) -> None:
        if self.is_dead:
            return
        self.is_dead = True
        _sqlite().sqlite3_vfs_unregister(ctypes.byref(self._vfs))
        for handle in self.handles:
            handle.is_dead = True
            handle.file.handles, handle.file.shared_memory = [], None
        self.free_if_unused()

    def free_if_unused(self) -> None:
        if self.is_dead and not self.handles:
            del _processes[ctypes.addressof(self._vfs)]


class _Handle:
    """One open file.  `shared` and `exclusive` are bit masks of the slots of the WAL index that it has locked."""

    def __init__(self, process: _Process, address: int, file: _File, name: str | None, flags: int) -> None:
        self.process, self.address, self.disk = process, address, process.disk
        self.file, self.name, self.flags, self.is_dead = file, name, flags, False
        self.lock = self.shared = self.exclusive = 0
        self.shared_memory: _SharedMemory | None = None
        process.handles.append(self)
        file.handles.append(self)

    def leave_shared_memory(self) -> None:
        """The last one to leave ends it: the next program would not trust its content anyway."""
        memory, self.shared_memory, self.shared, self.exclusive = self.shared_memory, None, 0, 0
        if memory is not None:
            memory.handles.remove(self)
            if not memory.handles and not self.is_dead:
                self.file.shared_memory = None

    def close(self) -> None:
        self.leave_shared_memory()
        del _handles[self.address]
        self.process.handles.remove(self)
        self.process.free_if_unused()
        if not self.is_dead:
            self.file.handles.remove(self)

    def strongest_other_lock(self) -> int:
        return max((handle.lock for handle in self.file.handles if handle is not self), default=0)


class _SharedMemory:
    """The WAL index of one database: the regions SQLite has mapped, and the handles that lock slots in it."""

    def __init__(self) -> None:
        self.regions: list[ctypes.Array[ctypes.c_char]] = []
        self.handles: list[_Handle] = []


# The C side.  SQLite calls what follows by address; one set of callbacks serves all disks, which thus cost none.

_Int, _Int64, _Pointer, _Text = ctypes.c_int, ctypes.c_int64, ctypes.c_void_p, ctypes.c_char_p
_IntOut, _Int64Out = ctypes.POINTER(_Int), ctypes.POINTER(_Int64)
_Region = ctypes.c_char * 32768  # the size SQLite maps; kept, because ctypes would make a new type each time

_processes: dict[int, _Process] = {}
_handles: dict[int, _Handle] = {}
_callbacks: dict[str, Any] = {}  # by the name of the field; freed callbacks would crash the process


class _Vfs(ctypes.Structure):
    """sqlite3_vfs, version 2.  Fields without a callback stay NULL: SQLite checks them, or loads no extensions here."""

    _fields_ = [
        ("iVersion", _Int),
        ("szOsFile", _Int),
        ("mxPathname", _Int),
        ("pNext", _Pointer),
        ("zName", _Text),
        ("pAppData", _Pointer),
        *((name, _Pointer) for name in ("xOpen", "xDelete", "xAccess", "xFullPathname")),
        *((name, _Pointer) for name in ("xDlOpen", "xDlError", "xDlSym", "xDlClose")),
        *((name, _Pointer) for name in ("xRandomness", "xSleep", "xCurrentTime", "xGetLastError")),
        ("xCurrentTimeInt64", _Pointer),
    ]


class _IoMethods(ctypes.Structure):
    """sqlite3_io_methods, version 2: shared memory, but no memory-mapped files."""

    _fields_ = [
        ("iVersion", _Int),
        *((name, _Pointer) for name in ("xClose", "xRead", "xWrite", "xTruncate", "xSync", "xFileSize")),
        *((name, _Pointer) for name in ("xLock", "xUnlock", "xCheckReservedLock", "xFileControl")),
        *((name, _Pointer) for name in ("xSectorSize", "xDeviceCharacteristics")),
        *((name, _Pointer) for name in ("xShmMap", "xShmLock", "xShmBarrier", "xShmUnmap")),
    ]


_Function = TypeVar("_Function", bound=Callable[..., int])


def _called_by_sqlite(
    field: str, owners: Mapping[int, Any], failure: int, *arguments: Any, even_if_dead: bool = False
) -> Callable[[_Function], _Function]:
    """Make a callback of a function on a process or handle; who is dead or raises answers `failure`.

    `even_if_dead` is for what SQLite does to let go of a handle, and ignores the answer of.
    """

    def decorate(function: _Function) -> _Function:
        def callback(address: int, *values: Any) -> int:
            owner = owners.get(address)
            if owner is None or (owner.is_dead and not even_if_dead):
                return failure
            try:
                return function(owner, *values)
            except BaseException as error:  # an exception that reached ctypes would be printed and answered as success
                owner.disk.errors.append(error)
                return failure

        _callbacks[field] = ctypes.CFUNCTYPE(_Int, _Pointer, *arguments)(callback)
        # Never freed: a connection that outlives this module, in a failed test's traceback, closes itself at exit.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(_callbacks[field]))
        return function

    return decorate


@_called_by_sqlite("xOpen", _processes, sqlite3.SQLITE_CANTOPEN, _Text, _Pointer, _Int, _IntOut)
def _open(process: _Process, name: bytes | None, address: int, flags: int, flags_out: Any) -> int:
    _Pointer.from_address(address).value = None  # SQLite closes what has methods, even if it failed to open
    path = name.decode() if name is not None else None
    file = _File() if path is None else process.disk._entries.get(path)  # temporary files have no name
    if file is None:
        if path is None or not flags & _OPEN_CREATE:
            return sqlite3.SQLITE_CANTOPEN
        file = process.disk._entries[path] = _File()
    _handles[address] = _Handle(process, address, file, path, flags)
    _Pointer.from_address(address).value = ctypes.addressof(_IO_METHODS)
    process.disk._reseed()
    if flags_out:
        flags_out[0] = flags
    return _OK


@_called_by_sqlite("xDelete", _processes, sqlite3.SQLITE_IOERR_DELETE, _Text, _Int)
def _delete(process: _Process, name: bytes, sync_directory: int) -> int:
    disk, path = process.disk, name.decode()
    if path not in disk._entries:
        return sqlite3.SQLITE_IOERR_DELETE_NOENT
    disk.changes += 1
    fault = disk._due(Operation.DELETE)
    if fault is None or disk._happens_nevertheless(fault):
        del disk._entries[path]
    if fault is not None:
        return disk._strike(fault)
    if sync_directory:
        disk._synced_entries.pop(path, None)
    return _OK


@_called_by_sqlite("xAccess", _processes, sqlite3.SQLITE_IOERR_ACCESS, _Text, _Int, _IntOut)
def _access(process: _Process, name: bytes, _flags: int, exists_out: Any) -> int:
    exists_out[0] = name.decode() in process.disk._entries
    return _OK


@_called_by_sqlite("xFullPathname", _processes, sqlite3.SQLITE_CANTOPEN_FULLPATH, _Text, _Int, _Pointer)
def _full_path_name(_process: _Process, name: bytes, size: int, out: int) -> int:
    if len(name) >= size:
        return sqlite3.SQLITE_CANTOPEN_FULLPATH
    ctypes.memmove(out, name + b"\0", len(name) + 1)
    return _OK


@_called_by_sqlite("xRandomness", _processes, 0, _Int, _Pointer)
def _randomness(process: _Process, size: int, out: int) -> int:
    ctypes.memmove(out, process.disk.rng.randbytes(size), size)
    return size


@_called_by_sqlite("xSleep", _processes, 0, _Int)
def _sleep(process: _Process, microseconds: int) -> int:
    process.disk.now_seconds += microseconds / 1e6
    return microseconds


@_called_by_sqlite("xCurrentTimeInt64", _processes, sqlite3.SQLITE_ERROR, _Int64Out)
def _current_time(process: _Process, out: Any) -> int:
    out[0] = _JULIAN_MILLISECONDS_AT_1970 + int(process.disk.now_seconds * 1000)
    return _OK


@_called_by_sqlite("xClose", _handles, _OK, even_if_dead=True)
def _close(handle: _Handle) -> int:
    handle.close()
    return _OK


@_called_by_sqlite("xRead", _handles, sqlite3.SQLITE_IOERR_READ, _Pointer, _Int, _Int64)
def _read(handle: _Handle, buffer: int, amount: int, offset: int) -> int:
    disk = handle.disk
    if disk._faults and (fault := disk._due(Operation.READ)):
        return fault.code
    chunk = bytes(handle.file.data[offset : offset + amount])
    ctypes.memmove(buffer, chunk, len(chunk))
    if len(chunk) == amount:
        return _OK
    ctypes.memset(buffer + len(chunk), 0, amount - len(chunk))
    return sqlite3.SQLITE_IOERR_SHORT_READ


@_called_by_sqlite("xWrite", _handles, sqlite3.SQLITE_IOERR_WRITE, _Pointer, _Int, _Int64)
def _write(handle: _Handle, buffer: int, amount: int, offset: int) -> int:
    if handle.flags & _OPEN_READONLY:
        return sqlite3.SQLITE_IOERR_WRITE
    disk, chunk = handle.disk, ctypes.string_at(buffer, amount)
    disk.changes += 1
    disk.writes += 1
    if disk._faults and (fault := disk._due(Operation.WRITE)):
        handle.file.write(offset, chunk[: disk.rng.randint(0, amount)])
        return disk._strike(fault)
    disk.bytes_written += amount
    handle.file.write(offset, chunk)
    return _OK


@_called_by_sqlite("xTruncate", _handles, sqlite3.SQLITE_IOERR_TRUNCATE, _Int64)
def _truncate(handle: _Handle, size: int) -> int:
    disk = handle.disk
    if handle.flags & _OPEN_READONLY:
        return sqlite3.SQLITE_IOERR_TRUNCATE
    disk.changes += 1
    fault = disk._due(Operation.TRUNCATE)
    if fault is None or disk._happens_nevertheless(fault):
        handle.file.truncate(size)
    return disk._strike(fault) if fault is not None else _OK


@_called_by_sqlite("xSync", _handles, sqlite3.SQLITE_IOERR_FSYNC, _Int)
def _sync(handle: _Handle, _flags: int) -> int:
    disk, file = handle.disk, handle.file
    disk.changes += 1
    disk.syncs += 1
    if disk._faults and (fault := disk._due(Operation.SYNC)):
        if disk.forgets_failed_syncs and fault.crash is None:
            file.lose_unsynced(disk.rng)
        return disk._strike(fault)
    file.sync()
    if handle.name is not None and disk._entries.get(handle.name) is file:
        disk._synced_entries[handle.name] = file
    return _OK


@_called_by_sqlite("xFileSize", _handles, sqlite3.SQLITE_IOERR_FSTAT, _Int64Out)
def _file_size(handle: _Handle, out: Any) -> int:
    out[0] = len(handle.file.data)
    return _OK


@_called_by_sqlite("xLock", _handles, sqlite3.SQLITE_IOERR_LOCK, _Int)
def _lock(handle: _Handle, level: int) -> int:
    if handle.lock >= level:
        return _OK
    strongest = handle.strongest_other_lock()
    if strongest >= (_PENDING if level == _SHARED else _RESERVED):
        return sqlite3.SQLITE_BUSY
    if level == _EXCLUSIVE and strongest:
        handle.lock = _PENDING  # keeps new readers out while the old ones finish
        return sqlite3.SQLITE_BUSY
    handle.lock = level
    if level > _SHARED:
        handle.disk._reseed()
    return _OK


@_called_by_sqlite("xUnlock", _handles, sqlite3.SQLITE_IOERR_UNLOCK, _Int)
def _unlock(handle: _Handle, level: int) -> int:
    handle.lock = min(handle.lock, level)
    return _OK


@_called_by_sqlite("xCheckReservedLock", _handles, sqlite3.SQLITE_IOERR_CHECKRESERVEDLOCK, _IntOut)
def _check_reserved_lock(handle: _Handle, out: Any) -> int:
    out[0] = max(handle.lock, handle.strongest_other_lock()) >= _RESERVED
    return _OK


@_called_by_sqlite("xFileControl", _handles, sqlite3.SQLITE_NOTFOUND, _Int, _Pointer)
def _file_control(_handle: _Handle, _operation: int, _argument: int) -> int:
    return sqlite3.SQLITE_NOTFOUND


@_called_by_sqlite("xSectorSize", _handles, SECTOR_BYTES)
def _sector_size(_handle: _Handle) -> int:
    return SECTOR_BYTES


@_called_by_sqlite("xDeviceCharacteristics", _handles, 0)
def _device_characteristics(_handle: _Handle) -> int:
    return _POWERSAFE_OVERWRITE


@_called_by_sqlite("xShmMap", _handles, sqlite3.SQLITE_IOERR_SHMMAP, _Int, _Int, _Int, _Pointer)
def _shm_map(handle: _Handle, index: int, size: int, extend: int, out: int) -> int:
    assert size == ctypes.sizeof(_Region), size
    if handle.shared_memory is None:
        if handle.file.shared_memory is None:
            handle.file.shared_memory = _SharedMemory()
        handle.shared_memory = handle.file.shared_memory
        handle.shared_memory.handles.append(handle)
    regions = handle.shared_memory.regions
    while extend and len(regions) <= index:
        regions.append(_Region())
    _Pointer.from_address(out).value = ctypes.addressof(regions[index]) if index < len(regions) else None
    return _OK


@_called_by_sqlite("xShmLock", _handles, sqlite3.SQLITE_IOERR_SHMLOCK, _Int, _Int, _Int)
def _shm_lock(handle: _Handle, first: int, count: int, flags: int) -> int:
    mask = ((1 << count) - 1) << first
    if flags & _SHM_UNLOCK:
        handle.shared &= ~mask
        handle.exclusive &= ~mask
        return _OK
    assert handle.shared_memory is not None
    for other in handle.shared_memory.handles:
        if other is not handle and mask & (other.exclusive | (other.shared if flags & _SHM_EXCLUSIVE else 0)):
            return sqlite3.SQLITE_BUSY
    if flags & _SHM_EXCLUSIVE:
        handle.exclusive |= mask
        handle.disk._reseed()  # new WAL salts are drawn only under such a lock
    else:
        handle.shared |= mask
    return _OK


@_called_by_sqlite("xShmBarrier", _handles, _OK)
def _shm_barrier(_handle: _Handle) -> int:
    return _OK  # one thread at a time


@_called_by_sqlite("xShmUnmap", _handles, _OK, _Int, even_if_dead=True)
def _shm_unmap(handle: _Handle, _delete: int) -> int:
    handle.leave_shared_memory()
    return _OK


def _filled(structure: Any) -> Any:
    for field, *_ in structure._fields_:
        if field in _callbacks:
            setattr(structure, field, ctypes.cast(_callbacks[field], _Pointer))
    return structure


_IO_METHODS = _filled(_IoMethods(iVersion=2))
_VFS = _filled(_Vfs(iVersion=2, szOsFile=ctypes.sizeof(_Pointer), mxPathname=512))


@functools.cache
def _sqlite() -> ctypes.PyDLL:
    """The library behind `sqlite3`, proven to be that one.  PyDLL: the calls are too short to let go of the GIL."""
    for place in _places():
        try:
            library = ctypes.PyDLL(place)
            if _is_behind_python(library):
                return library
        except (OSError, AttributeError):  # no such file; a library without these functions
            continue
    raise RuntimeError(
        f"cannot reach the SQLite {sqlite3.sqlite_version} that Python's sqlite3 module uses: it is "
        "linked into Python without exporting its functions, or built without sqlite3_test_control"
    )


def _places() -> Iterator[str | None]:
    """Where to look: symbols of the extension module include those of the library it is linked to."""
    yield getattr(_sqlite3, "__file__", None)  # None: built into Python, so look in the program itself
    yield ctypes.util.find_library("sqlite3")


def _is_behind_python(library: ctypes.PyDLL) -> bool:
    """Whether what is registered there can be used here; two copies of SQLite of one version could not."""
    probe = _Vfs.from_buffer_copy(_VFS)
    probe.zName = b"simulated-disk-probe"
    library.sqlite3_vfs_register(ctypes.byref(probe), 0)
    try:
        sqlite3.connect("file::memory:?vfs=simulated-disk-probe", uri=True).close()
    except sqlite3.OperationalError:
        return False
    finally:
        library.sqlite3_vfs_unregister(ctypes.byref(probe))
    return library.sqlite3_test_control is not None  # raises AttributeError if SQLite was built without
