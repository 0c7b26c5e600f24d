"""Whether a record may be added to what is held of its stream; the same rules for peers and for `earshot verify`."""

import enum

from appliance.ledger.records import EPOCH_KIND, Record, Tip, body_matches, is_signed_by, record_hash
from appliance.ledger.roster import Roster


class Verdict(enum.StrEnum):
    """What a record is to a stream; all but the first three are offences of whoever sent or wrote it."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    GAP = "gap"
    STRANGER = "written by a node that is not of this site"
    FORGED = "signature does not fit"
    CHANGED_BODY = "body does not fit its hash"
    NO_BODY = "body is missing"
    BROKEN_CHAIN = "does not follow the record before it"
    FORKED = "another record stands in its place"
    BAD_START = "an epoch does not begin with its epoch record"
    TOO_MANY_EPOCHS = "the node began too many epochs"
    CLONED = "signed with this node's own key, but not by it"

    @property
    def is_offence(self) -> bool:
        """Whether nobody honest sends such a record."""
        return self not in (Verdict.ACCEPTED, Verdict.DUPLICATE, Verdict.GAP)


def judge(record: Record, tip: Tip | None, roster: Roster, *, body_needed: bool = True) -> Verdict:
    """What `record` is to its stream, of which `tip` is held (None: nothing).

    Cheap checks come first; a duplicate is not checked further, as it is not used. A gap is not an offence: records
    before it were lost on the way and have to be fetched.
    """
    held = tip.seq if tip else 0
    if tip is not None and record.seq <= held:
        forked = record.seq == held and record_hash(record, roster.site_key) != tip.hash
        return Verdict.FORKED if forked and _is_genuine(record, roster) else Verdict.DUPLICATE
    if record.seq > held + 1:
        return Verdict.GAP
    keys = roster.keys_of(record.node)
    if not keys:
        return Verdict.STRANGER
    if not _is_genuine(record, roster):
        return Verdict.FORGED
    if record.body is None and body_needed:
        return Verdict.NO_BODY
    if not body_matches(record):
        return Verdict.CHANGED_BODY
    if (record.kind == EPOCH_KIND) != (record.seq == 1):
        return Verdict.BAD_START
    if tip is not None and record.previous != tip.hash:
        return Verdict.BROKEN_CHAIN
    return Verdict.ACCEPTED


def _is_genuine(record: Record, roster: Roster) -> bool:
    return any(is_signed_by(record, key, roster.site_key) for key in roster.keys_of(record.node))
