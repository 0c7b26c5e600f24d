"""Whether a record may be added to what is held of its stream; the same rules for peers and for `earshot verify`."""

import enum

from appliance.ledger.records import EPOCH_KIND, Record, Tip, body_matches, record_hash
from appliance.ledger.roster import Roster


class Verdict(enum.StrEnum):
    """What a record is to a stream; all but the first four are offences of whoever sent or wrote it."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    GAP = "gap"
    REVOKED = "written after its node was taken out of the site"
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
        """Whether nobody honest sends such a record: who has not heard of a revocation passes on what it forbids."""
        return self not in (Verdict.ACCEPTED, Verdict.DUPLICATE, Verdict.GAP, Verdict.REVOKED)


def judge(record: Record, tip: Tip | None, roster: Roster, *, body_needed: bool = True) -> Verdict:
    """What `record` is to its stream, of which `tip` is held (None: nothing).

    Cheap checks come first; a duplicate is not checked further, as it is not used. A gap is not an offence: records
    before it were lost on the way and have to be fetched.
    """
    held = tip.seq if tip else 0
    if tip is not None and record.seq <= held:
        forked = record.seq == held and record_hash(record, roster.site_key) != tip.hash
        return Verdict.FORKED if forked and roster.signer_of(record) is not None else Verdict.DUPLICATE
    if record.seq > held + 1:
        return Verdict.GAP
    if not roster.keys_of(record.node):
        return Verdict.STRANGER
    signer = roster.signer_of(record)
    if signer is None:
        return Verdict.FORGED
    if not roster.counts(record, signer):
        return Verdict.REVOKED
    if record.body is None and body_needed:
        return Verdict.NO_BODY
    if not body_matches(record):
        return Verdict.CHANGED_BODY
    if (record.kind == EPOCH_KIND) != (record.seq == 1):
        return Verdict.BAD_START
    if tip is not None and record.previous != tip.hash:
        return Verdict.BROKEN_CHAIN
    return Verdict.ACCEPTED
