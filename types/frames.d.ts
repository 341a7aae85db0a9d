/**
 * The frames of the sockets, by hand from docs/events.md: what they tell of one session (`Frame`), and of the list of one's
 * sessions (`ListFrame`). What stands in them are the API's shapes, made from its schema into types/made.
 * tests/test_page_types.py holds frames that the server sends against these.
 *
 * Readers by a link are told less. A field that they are not told is optional here, so that nobody relies on it.
 */

import type {
  Attachment, Failure, ListedSession, Message, Participant, Person, Reasoning, Session, SharedMessage, SharedToolCall, ToolCall, UserId,
} from "parley/api";

export type { Attachment, Failure, Participant, Person, Reasoning, UserId };

/** What is known of all alike, and of the rest what only some are told. */
type Told<All, Some> = Pick<All, keyof All & keyof Some> & Partial<Omit<All, keyof Some>>;

/** One frame for each of these types. */
type Each<Types extends string, Fields> = Types extends string ? { type: Types } & Fields : never;

export type ToldCall = Told<ToolCall, SharedToolCall>;
export type ToldMessage = Told<Omit<Message, "tool_calls">, SharedMessage> & {
  tool_calls: ToldCall[];
  /** Readers have no list of models to look the name up in. */
  model_label?: string | null;
};

/** Without what is one's own of it (`yours`). */
export type ToldSession = Told<Omit<Session, "yours">, SharedSession>;
/** `role` is "reader" in a snapshot, else null. */
export type SharedSession = Pick<Session, "id" | "version" | "title" | "model" | "role" | "running" | "created_at" | "updated_at">;

export type ToldParticipant = Told<Participant, { id: UserId; name: string; color: number }>;
export type Reader = { id: null; name: null; role: "reader"; color: null };
export type You = Participant | Reader;

/** What models are told from now on in the place of the messages up to that position. */
export interface Summary {
  id: string;
  until_position: number;
  content: string;
  model: string;
  created_at: string;
}

/** These blocks in the place of those from that index on. */
export interface Blocks {
  from: number;
  html: string[];
}

export interface Snapshot {
  type: "session.snapshot";
  session: ToldSession;
  you: You;
  participants: ToldParticipant[];
  /** Ids of the people who are here. */
  online: UserId[];
  readers: number;
  shared?: boolean;
  messages: ToldMessage[];
  has_more: boolean;
  summaries?: Summary[];
}

export type MessageFrame = Each<"message.created" | "message.updated", { message: ToldMessage }>;

/** The next piece of a text. `seq` counts from 1 within an attempt. */
export interface Delta {
  type: "message.delta";
  message_id: string;
  attempt: number;
  seq: number;
  text: string;
  blocks: Blocks;
}

/** The next piece of what a model thinks. Its `seq` is its own. */
export interface ReasoningDelta {
  type: "message.reasoning_delta";
  message_id: string;
  attempt: number;
  seq: number;
  text: string;
  seconds: number;
}

/** The answer is being written again from here. */
export interface Reset {
  type: "message.reset";
  message_id: string;
  attempt: number;
  seq: number;
  content: string;
  html: string[];
  reasoning?: Reasoning | null;
}

/** All calls of the answer as they stand now. */
export interface ToolCalls {
  type: "message.tool_calls";
  message_id: string;
  version: number;
  tool_calls: ToldCall[];
}

/** What a running tool says about itself. */
export interface ToolStatus {
  type: "message.tool_status";
  message_id: string;
  attempt: number;
  call_id: string;
  text: string;
}

/** What the answer is waiting for. */
export interface TurnStatus {
  type: "message.turn_status";
  message_id: string;
  attempt: number;
  text: string;
}

export interface SummaryCreated {
  type: "summary.created";
  summary: Summary;
}

export interface SessionUpdated {
  type: "session.updated";
  session: ToldSession;
}

export interface SessionShared {
  type: "session.shared";
  shared: boolean;
}

export type ParticipantFrame = Each<"participant.joined" | "participant.updated", { participant: Participant }>;
/** `participant` as it was. */
export type ParticipantGone = Each<"participant.left" | "participant.removed", { participant: ToldParticipant }>;

export interface Presence {
  type: "presence";
  online: UserId[];
  readers: number;
}

export interface Typing {
  type: "typing";
  user: Person;
  active: boolean;
}

export interface Pong {
  type: "pong";
}

/** About a frame that was bad, or that may not be sent. */
export interface Complaint {
  type: "error";
  code: string;
  detail: string;
}

export type Frame =
  | Snapshot | MessageFrame | Delta | ReasoningDelta | Reset | ToolCalls | ToolStatus | TurnStatus | SummaryCreated
  | SessionUpdated | SessionShared | ParticipantFrame | ParticipantGone | Presence | Typing | Pong | Complaint;

export interface ListSnapshot {
  type: "list.snapshot";
  sessions: ListedSession[];
  has_more: boolean;
}

export interface ListUpdated {
  type: "list.updated";
  session: ListedSession;
}

export interface ListRemoved {
  type: "list.removed";
  session_id: string;
}

export type ListFrame = ListSnapshot | ListUpdated | ListRemoved | Pong | Complaint;

/** What a page sends. */
export type Sent = { type: "sync" } | { type: "ping" } | { type: "typing"; active: boolean };
