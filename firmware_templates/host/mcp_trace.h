/* Included before every file of a tracing build: tells whoever loaded the library about each finished layer. */
#ifndef MCP_TRACE_H
#define MCP_TRACE_H

typedef void (*mcp_trace_function)(int index, const void *pointer, int bytes);

void mcp_trace_set(mcp_trace_function function);
void mcp_trace(int index, const void *pointer, int bytes);

#define MCP_LAYER_DONE(index, pointer, bytes) mcp_trace(index, pointer, bytes)

#endif
